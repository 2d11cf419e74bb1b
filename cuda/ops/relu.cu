// y = max(x, 0); a NaN stays a NaN.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Relu {
  __device__ __forceinline__ float operator()(float x) const { return x < 0 ? 0.f : x; }
};
struct ReluGrad {  // dx = dy where y > 0
  __device__ __forceinline__ float operator()(float dy, float y) const { return y > 0 ? dy : 0.f; }
};

OP(relu, "") { unary(s, l, Relu()); }
OP(reluGrad, "") { binary(s, l, ReluGrad()); }

}  // namespace cuda
}  // namespace bayes
