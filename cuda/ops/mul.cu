// a * b with NumPy broadcasting.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct Mul {
  __device__ __forceinline__ float operator()(float a, float b) const { return a * b; }
};

OP(mul, "") { broadcastBinary(s, l, Mul()); }

}  // namespace cuda
}  // namespace bayes
