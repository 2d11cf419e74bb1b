// a + b with NumPy broadcasting.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct Add {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

OP(add, "") { broadcastBinary(s, l, s.in[0], s.in[1], Add()); }

}  // namespace cuda
}  // namespace bayes
