// Sum of ln q(w) at w = mu + sigma eps, in nats, from eps: no cancellation. sigma^2 is held at 1e-20 or more.
#include "../math.h"
#include "../loops/sum.h"

namespace bayes {
namespace cuda {

struct LogPosterior {
  const float *sigma2, *eps;
  Mask mask;
  __device__ __forceinline__ float operator()(long i) const {
    const float e = eps[i], v = sigma2[i] < 1e-20f ? 1e-20f : sigma2[i];
    return mask.of(-0.91893853320467274f - 0.5f * (logf(v) + e * e), i);
  }
};
struct LogPosteriorGrad {
  const float *dy, *sigma2;
  Mask mask;
  float* out;
  __device__ __forceinline__ void operator()(long i) const {
    const float v = sigma2[i];
    out[i] = mask.of(v <= 1e-20f ? 0.f : -0.5f * *dy / v, i);
  }
};

OP(logPosteriorSum, "masked") {  // (sigma2, eps, [mask])
  sumOf(s, l, s.in[0].size(), LogPosterior{s.in[0].f32(), s.in[1].f32(), Mask(s)}, s.out[0].f32());
}
SCRATCH(logPosteriorSum) { return sumScratch(s.in[0].size()); }
OP(logPosteriorSumGrad, "masked") {  // (dy, sigma2, [mask])
  each(s.in[1].size(), l, LogPosteriorGrad{s.in[0].f32(), s.in[1].f32(), Mask(s), s.out[0].f32()});
}

}  // namespace cuda
}  // namespace bayes
