// 1 where a >= b, else 0, with NumPy broadcasting.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct GreaterEqual {
  __device__ __forceinline__ float operator()(float a, float b) const { return a >= b ? 1.f : 0.f; }
};

OP(greaterEqual, "") { broadcastBinary(s, l, GreaterEqual()); }

}  // namespace cuda
}  // namespace bayes
