// (prediction - target)^2 per element.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct SquaredError {
  __device__ __forceinline__ float operator()(float y, float t) const { return (y - t) * (y - t); }
};
struct SquaredErrorGrad {
  __device__ __forceinline__ float operator()(float dloss, float y, float t) const {
    const float e = y - t;
    return (e + e) * dloss;
  }
};

OP(squaredError, "") { binary(s, l, SquaredError()); }
OP(squaredErrorGrad, "") { ternary(s, l, SquaredErrorGrad()); }

}  // namespace cuda
}  // namespace bayes
