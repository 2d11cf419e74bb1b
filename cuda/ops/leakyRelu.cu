// y = x where x > 0, else slope x. The gradient has (dy, y), or (dy, x) where the slope is not positive.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct LeakyRelu {
  float slope;
  __device__ __forceinline__ float operator()(float x) const { return x < 0 ? slope * x : x; }
};
struct LeakyReluGrad {
  float slope;
  __device__ __forceinline__ float operator()(float dy, float y) const { return y > 0 ? dy : slope * dy; }
};

OP(leakyRelu, "slope") { unary(s, l, LeakyRelu{static_cast<float>(s.attr("slope"))}); }
OP(leakyReluGrad, "slope") { binary(s, l, LeakyReluGrad{static_cast<float>(s.attr("slope"))}); }

}  // namespace cuda
}  // namespace bayes
