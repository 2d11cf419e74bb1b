// KL(q || p) in nats, summed: q = N(mu, alpha mu^2), p = N(mp, sp^2). At mu = 0 the KL is infinite: sigma^2 is held at
// 1e-20. logAlpha is [1] (shared) or one per weight.
#include "../math.h"
#include "../loops/prior.h"

namespace bayes {
namespace cuda {

struct AlphaSigma2 {
  float value;  // max(alpha mu^2, 1e-20)
  bool free;    // not held
  __device__ __forceinline__ AlphaSigma2(float mu, float logAlpha) {
    const float v = expf(logAlpha) * (mu * mu);
    free = !(v <= 1e-20f);  // a NaN passes
    value = free ? v : 1e-20f;
  }
};
struct KlGaussianAlpha {
  const float *mu, *logAlpha;
  bool shared;
  GaussianPrior p;
  Mask mask;
  __device__ __forceinline__ float operator()(long i) const {
    const float m = mu[i], d = p.tied ? 0.f : m - p.mean1;
    const AlphaSigma2 q(m, logAlpha[shared ? 0 : i]);
    return mask.of((p.logSigma1 - 0.5f * logf(q.value)) + (0.5f * (q.value + d * d) * p.precision1 - 0.5f), i);
  }
};
struct KlGaussianAlphaGrad {  // returns dKL / d ln sigma^2
  const float *dkl, *mu, *logAlpha;
  bool shared;
  GaussianPrior p;
  Mask mask;
  float *dmu, *dlogAlpha;
  __device__ __forceinline__ float operator()(long i) const {
    const float k = *dkl, m = mu[i], d = p.tied ? 0.f : m - p.mean1;
    const AlphaSigma2 q(m, logAlpha[shared ? 0 : i]);
    const float dLog = mask.of(q.free ? 0.5f * (q.value * p.precision1 - 1.f) : 0.f, i);
    if (dmu) dmu[i] = mask.of(k * ((q.free ? 2.f * dLog / m : 0.f) + d * p.precision1), i);
    if (dlogAlpha && !shared) dlogAlpha[i] = k * dLog;
    return dLog;
  }
};

OP(klGaussianAlpha, PRIOR) {  // (mu, logAlpha, [mask])
  const KlGaussianAlpha term{s.in[0].f32(), s.in[1].f32(), s.in[1].size() == 1, GaussianPrior(s, 2), Mask(s)};
  sumOf(s, l, s.in[0].size(), term, s.out[0].f32());
}
SCRATCH(klGaussianAlpha) { return sumScratch(s.in[0].size()); }
OP(klGaussianAlphaGrad, PRIOR) {  // (dkl, mu, logAlpha, [mask]) -> dmu, dlogAlpha
  const bool shared = s.in[2].size() == 1;
  float* const dlogAlpha = outputOf(s, 1);
  const KlGaussianAlphaGrad term{s.in[0].f32(),       s.in[1].f32(), s.in[2].f32(),  shared,
                                 GaussianPrior(s, 3), Mask(s),       outputOf(s, 0), dlogAlpha};
  sumOf(s, l, s.in[1].size(), term, shared ? dlogAlpha : nullptr, s.in[0].f32());
}
SCRATCH(klGaussianAlphaGrad) { return sumScratch(s.in[1].size()); }

}  // namespace cuda
}  // namespace bayes
