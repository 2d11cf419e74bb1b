// a * b with NumPy broadcasting.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct Mul {
  __device__ __forceinline__ float operator()(float a, float b) const { return a * b; }
};

OP(mul, "") { broadcastBinary(s, l, s.in[0], s.in[1], Mul()); }

}  // namespace cuda
}  // namespace bayes
