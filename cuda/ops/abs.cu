// y = |x|; the slope at 0 is 0.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Abs {
  __device__ __forceinline__ float operator()(float x) const { return fabsf(x); }
};
struct AbsGrad {
  __device__ __forceinline__ float operator()(float dy, float x) const { return x > 0 ? dy : x < 0 ? -dy : 0.f; }
};

OP(abs, "") { unary(s, l, Abs()); }
OP(absGrad, "") { binary(s, l, AbsGrad()); }

}  // namespace cuda
}  // namespace bayes
