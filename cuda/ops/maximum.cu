// The larger of a and b with NumPy broadcasting; a NaN on either side stays.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct Maximum {
  __device__ __forceinline__ float operator()(float a, float b) const { return a != a || a > b ? a : b; }
};

OP(maximum, "") { broadcastBinary(s, l, Maximum()); }

}  // namespace cuda
}  // namespace bayes
