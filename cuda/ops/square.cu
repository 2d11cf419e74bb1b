// y = x^2.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Square {
  __device__ __forceinline__ float operator()(float x) const { return x * x; }
};

OP(square, "") { unary(s, l, Square()); }

}  // namespace cuda
}  // namespace bayes
