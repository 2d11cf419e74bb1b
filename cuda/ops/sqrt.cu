// y = sqrt(x). The gradient at 0 is 0, not infinite.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Sqrt {
  __device__ __forceinline__ float operator()(float x) const { return sqrtf(x); }
};
struct SqrtGrad {
  __device__ __forceinline__ float operator()(float dy, float y) const { return y == 0 ? 0.f : dy * 0.5f / y; }
};

OP(sqrt, "") { unary(s, l, Sqrt()); }
OP(sqrtGrad, "") { binary(s, l, SqrtGrad()); }

}  // namespace cuda
}  // namespace bayes
