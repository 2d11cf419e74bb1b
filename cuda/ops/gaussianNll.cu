// -ln N(target; mean, e^logVar) per element.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct GaussianNll {
  __device__ __forceinline__ float operator()(float mean, float logVar, float target) const {
    const float e = target - mean;
    return 0.5f * ((1.8378770664093453f + logVar) + e * e * expf(-logVar));
  }
};
struct GaussianNllGrad {
  const float *dloss, *mean, *logVar, *target;
  float *dmean, *dlogVar;  // null: nobody reads it
  __device__ __forceinline__ void operator()(long i) const {
    const float e = target[i] - mean[i], g = dloss[i], p = expf(-logVar[i]);
    if (dmean) dmean[i] = -(e * p) * g;
    if (dlogVar) dlogVar[i] = 0.5f * (1.f - e * e * p) * g;
  }
};

OP(gaussianNll, "") { ternary(s, l, GaussianNll()); }
OP(gaussianNllGrad, "") {
  each(s.in[0].size(), l,
       GaussianNllGrad{s.in[0].f32(), s.in[1].f32(), s.in[2].f32(), s.in[3].f32(), s.out[0] ? s.out[0].f32() : nullptr,
                       s.out[1] ? s.out[1].f32() : nullptr});
}

}  // namespace cuda
}  // namespace bayes
