// y = e^x.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Exp {
  __device__ __forceinline__ float operator()(float x) const { return expf(x); }
};

OP(exp, "") { unary(s, l, Exp()); }

}  // namespace cuda
}  // namespace bayes
