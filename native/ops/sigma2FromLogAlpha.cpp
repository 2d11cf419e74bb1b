// sigma^2 = alpha mu^2 of the posterior N(mu, alpha mu^2); logAlpha is [1] (shared) or one per weight.
#include "../loops/sum.h"
namespace bayes {
namespace ISA {

OP(sigma2FromLogAlpha) {  // (mu, logAlpha)
  const float *mu = s.in[0].f32(), *logAlpha = s.in[1].f32();
  const bool shared = s.in[1].size() == 1;
  float* y = s.out[0].f32();
  parallelRange(s.in[0].size(), SUM_CHUNK, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      const vf m = loadn(mu + i, to - i);
      storen(y + i, expv(shared ? set1(*logAlpha) : loadn(logAlpha + i, to - i)) * (m * m), to - i);
    }
  });
}
CONTRACT(sigma2FromLogAlpha) {
  c.in("mu", "f32[...]"), c.in("logAlpha", alphaType(c));
  c.out("sigma2", "f32[...]");
}

OP(sigma2FromLogAlphaGrad) {  // (dy, mu, logAlpha) -> dmu, dlogAlpha
  const float *dy = s.in[0].f32(), *mu = s.in[1].f32(), *logAlpha = s.in[2].f32();
  const bool shared = s.in[2].size() == 1;
  float *dmu = s.out[0] ? s.out[0].f32() : nullptr, *dlogAlpha = s.out[1] ? s.out[1].f32() : nullptr;
  const double total = parallelSum(s.in[1].size(), static_cast<double*>(s.scratch), [=](long i, long n) {
    const vf m = loadn(mu + i, n), g = loadn(dy + i, n) * expv(shared ? set1(*logAlpha) : loadn(logAlpha + i, n));
    if (dmu) storen(dmu + i, g * (m + m), n);
    if (dlogAlpha && !shared) storen(dlogAlpha + i, g * (m * m), n);
    return g * (m * m);
  });
  if (dlogAlpha && shared) *dlogAlpha = (float)total;
}
CONTRACT(sigma2FromLogAlphaGrad) {
  c.in("dy", "f32[...]"), c.in("mu", "f32[...]");
  const char* alpha = alphaType(c);
  c.in("logAlpha", alpha);
  c.perhaps("dmu", "f32[...]"), c.perhaps("dlogAlpha", alpha);
}
SCRATCH(sigma2FromLogAlphaGrad) { return sumScratch(s.in[1].size()); }

}  // namespace ISA
}  // namespace bayes
