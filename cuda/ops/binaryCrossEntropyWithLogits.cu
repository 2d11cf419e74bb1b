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
  const float *dloss, *x, *t;
  float* out;
  __device__ __forceinline__ void operator()(long i) const { out[i] = (sigmoid(x[i]) - t[i]) * dloss[i]; }
};

OP(binaryCrossEntropyWithLogits, "") { binary(s, l, BinaryCrossEntropy()); }
OP(binaryCrossEntropyWithLogitsGrad, "") {
  each(s.out[0].size(), l, BinaryCrossEntropyGrad{s.in[0].f32(), s.in[1].f32(), s.in[2].f32(), s.out[0].f32()});
}

}  // namespace cuda
}  // namespace bayes
