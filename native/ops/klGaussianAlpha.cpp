// KL(q || p) in nats, summed: q = N(mu, alpha mu^2), p = N(mp, sp^2). At mu = 0 the KL is infinite: sigma^2 is held at
// 1e-20.
#include "../loops/prior.h"
namespace bayes {
namespace ISA {

// logAlpha is [1] (shared) or one per weight.
struct AlphaSigma2 {
  vf value;  // max(alpha mu^2, 1e-20)
  vi free;   // lanes not held
  INL AlphaSigma2(vf mu, vf logAlpha) {
    const vf v = expv(logAlpha) * (mu * mu);
    free = ~(vi)(v <= 1e-20f);  // a NaN passes
    value = select(free, v, set1(1e-20f));
  }
};

OP(klGaussianAlpha) {  // (mu, logAlpha, [mask])
  const float *mu = s.in[0].f32(), *logAlpha = s.in[1].f32();
  const bool shared = s.in[1].size() == 1;
  const GaussianPrior p(s, s.in + 2);
  const Mask mask(s);
  const double kl = parallelSum(s.in[0].size(), static_cast<double*>(s.scratch), [=](long i, long n) {
    const vf m = loadn(mu + i, n);
    const vf d = p.tied ? vf{} : m - p.mean1;
    const AlphaSigma2 q(m, shared ? set1(*logAlpha) : loadn(logAlpha + i, n));
    return mask.of((p.logSigma1 - 0.5f * logv(q.value)) + (0.5f * (q.value + d * d) * p.precision1 - 0.5f), i, n);
  });
  *s.out[0].f32() = (float)kl;
}
CONTRACT(klGaussianAlpha) {
  c.in("mu", "f32[...]"), c.in("logAlpha", alphaType(c)), priorInputs(c, false, true);
  c.out("kl", "f32[1...]");
}
SCRATCH(klGaussianAlpha) { return sumScratch(s.in[0].size()); }

OP(klGaussianAlphaGrad) {  // (dkl, mu, logAlpha, [mask]) -> dmu, dlogAlpha
  const float k = *s.in[0].f32(), *mu = s.in[1].f32(), *logAlpha = s.in[2].f32();
  const bool shared = s.in[2].size() == 1;
  const GaussianPrior p(s, s.in + 3);
  const Mask mask(s);
  float *dmu = s.out[0] ? s.out[0].f32() : nullptr, *dlogAlpha = s.out[1] ? s.out[1].f32() : nullptr;
  const double total = parallelSum(s.in[1].size(), static_cast<double*>(s.scratch), [=](long i, long n) {
    const vf m = loadn(mu + i, n);
    const vf d = p.tied ? vf{} : m - p.mean1;
    const AlphaSigma2 q(m, shared ? set1(*logAlpha) : loadn(logAlpha + i, n));
    // dKL / d ln sigma^2
    const vf dLog = mask.of(select(q.free, 0.5f * (q.value * p.precision1 - 1.f), vf{}), i, n);
    if (dmu) {
      const vf viaSigma = select(q.free, 2.f * dLog / m, vf{});
      storen(dmu + i, mask.of(k * (viaSigma + d * p.precision1), i, n), n);
    }
    if (dlogAlpha && !shared) storen(dlogAlpha + i, k * dLog, n);
    return dLog;
  });
  if (dlogAlpha && shared) *dlogAlpha = (float)((double)k * total);
}
CONTRACT(klGaussianAlphaGrad) {
  c.in("dkl", "f32[1...]"), c.in("mu", "f32[...]");
  const char* alpha = alphaType(c);
  c.in("logAlpha", alpha), priorInputs(c, false, true);
  c.perhaps("dmu", "f32[...]"), c.perhaps("dlogAlpha", alpha);
}
SCRATCH(klGaussianAlphaGrad) { return sumScratch(s.in[1].size()); }

}  // namespace ISA
}  // namespace bayes
