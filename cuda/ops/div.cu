// a / b with NumPy broadcasting.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct Div {
  __device__ __forceinline__ float operator()(float a, float b) const { return a / b; }
};

OP(div, "") { broadcastBinary(s, l, Div()); }

}  // namespace cuda
}  // namespace bayes
