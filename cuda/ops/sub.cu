// a - b with NumPy broadcasting.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct Sub {
  __device__ __forceinline__ float operator()(float a, float b) const { return a - b; }
};

OP(sub, "") { broadcastBinary(s, l, Sub()); }

}  // namespace cuda
}  // namespace bayes
