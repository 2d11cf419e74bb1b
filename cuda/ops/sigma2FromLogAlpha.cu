// sigma^2 = alpha mu^2 of the posterior N(mu, alpha mu^2); logAlpha is [1] (shared) or one per weight.
#include "../math.h"
#include "../loops/sum.h"

namespace bayes {
namespace cuda {

struct Sigma2FromLogAlpha {
  const float *mu, *logAlpha;
  bool shared;
  float* out;
  __device__ __forceinline__ void operator()(long i) const {
    out[i] = expf(logAlpha[shared ? 0 : i]) * (mu[i] * mu[i]);
  }
};
struct Sigma2FromLogAlphaGrad {
  const float *dy, *mu, *logAlpha;
  bool shared;
  float *dmu, *dlogAlpha;
  __device__ __forceinline__ float operator()(long i) const {
    const float m = mu[i], g = dy[i] * expf(logAlpha[shared ? 0 : i]);
    if (dmu) dmu[i] = g * (m + m);
    if (dlogAlpha && !shared) dlogAlpha[i] = g * (m * m);
    return g * (m * m);
  }
};

OP(sigma2FromLogAlpha, "") {
  each(s.in[0].size(), l, Sigma2FromLogAlpha{s.in[0].f32(), s.in[1].f32(), s.in[1].size() == 1, s.out[0].f32()});
}
OP(sigma2FromLogAlphaGrad, "") {  // (dy, mu, logAlpha) -> dmu, dlogAlpha
  const bool shared = s.in[2].size() == 1;
  float* const dlogAlpha = outputOf(s, 1);
  const Sigma2FromLogAlphaGrad term{s.in[0].f32(), s.in[1].f32(), s.in[2].f32(), shared, outputOf(s, 0), dlogAlpha};
  sumOf(s, l, s.in[1].size(), term, shared ? dlogAlpha : nullptr);
}
SCRATCH(sigma2FromLogAlphaGrad) { return sumScratch(s.in[1].size()); }

}  // namespace cuda
}  // namespace bayes
