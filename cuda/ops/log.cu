// y = ln x: -inf at 0, NaN below.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Log {
  __device__ __forceinline__ float operator()(float x) const { return logf(x); }
};

OP(log, "") { unary(s, l, Log()); }

}  // namespace cuda
}  // namespace bayes
