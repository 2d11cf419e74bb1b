// The smaller of a and b with NumPy broadcasting; a NaN on either side stays.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct Minimum {
  __device__ __forceinline__ float operator()(float a, float b) const { return a != a || a < b ? a : b; }
};

OP(minimum, "") { broadcastBinary(s, l, Minimum()); }

}  // namespace cuda
}  // namespace bayes
