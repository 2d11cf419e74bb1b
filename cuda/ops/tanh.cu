// y = tanh x.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Tanh {
  __device__ __forceinline__ float operator()(float x) const { return tanhf(x); }
};
struct TanhGrad {
  __device__ __forceinline__ float operator()(float dy, float y) const { return dy * (1.f - y * y); }
};

OP(tanh, "") { unary(s, l, Tanh()); }
OP(tanhGrad, "") { binary(s, l, TanhGrad()); }

}  // namespace cuda
}  // namespace bayes
