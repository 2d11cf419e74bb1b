// max(x, 0) - t x + log1p(e^-|x|) per element.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct BinaryCrossEntropy {
  __device__ __forceinline__ float operator()(float x, float t) const {
    return ((x > 0 ? x : 0.f) - t * x) + log1p01(expf(-fabsf(x)));
  }
};
struct BinaryCrossEntropyGrad {
  __device__ __forceinline__ float operator()(float dloss, float x, float t) const { return (sigmoid(x) - t) * dloss; }
};

OP(binaryCrossEntropyWithLogits, "") { binary(s, l, BinaryCrossEntropy()); }
OP(binaryCrossEntropyWithLogitsGrad, "") { ternary(s, l, BinaryCrossEntropyGrad()); }

}  // namespace cuda
}  // namespace bayes
