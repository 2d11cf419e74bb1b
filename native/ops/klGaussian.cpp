// KL(q || p) in nats, summed: q = N(mu, softplus(rho)^2), p Gaussian; ln(sp / s) + (s^2 + (mu - mp)^2) / (2 sp^2) -
// 1/2.
#include "../prior.h"
namespace bayes {
namespace ISA {

OP(klGaussian) {  // (mu, rho, [priorMean], [priorSigma])
  const float *mu = s.in[0].f32(), *rho = s.in[1].f32();
  const GaussianPrior p(s, 2);
  const double kl = parallelSum(s.in[0].size(), static_cast<double*>(s.scratch), [=](long i, long n) {
    const Sigma q = sigmaOf(loadn(rho + i, n));
    const vf d = p.tied ? vf{} : loadn(mu + i, n) - p.meanAt(i, n);
    return (p.logSigmaAt(i, n) - q.log) + (0.5f * (q.sigma * q.sigma + d * d) * p.precisionAt(i, n) - 0.5f);
  });
  *s.out[0].f32() = (float)kl;
}
SCRATCH(klGaussian) { return sumScratch(s.in[0].size()); }

OP(klGaussianGrad) {  // (dkl, mu, rho, [priorMean], [priorSigma]) -> dmu, drho
  const float k = *s.in[0].f32(), *mu = s.in[1].f32(), *rho = s.in[2].f32();
  const GaussianPrior p(s, 3);
  float *dmu = s.out[0] ? s.out[0].f32() : nullptr, *drho = s.out[1] ? s.out[1].f32() : nullptr;
  parallelRange(s.in[1].size(), SUM_CHUNK, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      const long n = to - i;
      const vf precision = p.precisionAt(i, n);
      if (dmu) storen(dmu + i, p.tied ? vf{} : k * ((loadn(mu + i, n) - p.meanAt(i, n)) * precision), n);
      if (!drho) continue;
      const Sigma q = sigmaOf(loadn(rho + i, n));
      storen(drho + i, k * (q.sigma * q.slope * precision - q.ratio), n);
    }
  });
}

}  // namespace ISA
}  // namespace bayes
