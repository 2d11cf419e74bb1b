// KL(q || p) in nats, summed: q = N(mu, softplus(rho)^2), p Gaussian; ln(sp / s) + (s^2 + (mu - mp)^2) / (2 sp^2) -
// 1/2. One logarithm per block of SUM_BLOCK weights: that of the product of their sigmas.
#include "../loops/prior.h"
namespace bayes {
namespace ISA {

// Sum over [from, to), no more than SUM_BLOCK weights
template <bool MASKED>
INL double klBlock(const float* mu, const float* rho, const GaussianPrior& p, const float* keep, long from, long to) {
  vf sum2{};  // of (s^2 + d^2) / sp^2 - 2 min(rho, 0)
  LogSum own, prior;
  vi left{};  // weights that the mask leaves out
  eachVector(from, to, [&](long i, long n) {
    const vf r = loadn(rho + i, n), d = p.tied ? vf{} : loadn(mu + i, n) - p.meanAt(i, n);
    const Sigma q = sigmaOf(r);
    const vf term = fma(q.sigma, q.sigma, d * d) * p.precisionAt(i, n) - 2.f * minv(vf{}, r);
    const vf one = set1(1.f);
    vi in = lanes() < set1i((int)n);
    if (MASKED) {
      const vi kept = in & (loadn(keep + i, n) != 0.f);
      left += kept - in;  // true is -1
      in = kept;
    }
    const bool some = MASKED || n < W;
    sum2 += some ? select(in, term, vf{}) : term;
    own.add(some ? select(in, q.body, one) : q.body);
    if (p.sigma) prior.add(some ? select(in, p.sigmaAt(i, n), one) : p.sigmaAt(i, n));
  });
  const double count = to - from - (MASKED ? (double)sum(toFloat(left)) : 0);
  const double priors = p.sigma ? prior.total() : count * (double)p.logSigma1[0];
  return 0.5 * (double)sum(sum2) + priors - own.total() - 0.5 * count;
}

OP(klGaussian) {  // (mu, rho, [priorMean], [priorSigma], [mask])
  const float *mu = s.in[0].f32(), *rho = s.in[1].f32();
  const GaussianPrior p(s, 2);
  const float* keep = Mask(s).keep;
  *s.out[0].f32() = (float)blockSum(s.in[0].size(), static_cast<double*>(s.scratch), [=](long from, long to) {
    return keep ? klBlock<true>(mu, rho, p, keep, from, to) : klBlock<false>(mu, rho, p, keep, from, to);
  });
}
CONTRACT(klGaussian) {
  c.in("mu", "f32[...]"), c.in("rho", "f32[...]"), priorInputs(c, true, true);
  c.out("kl", "f32[1...]");
}
SCRATCH(klGaussian) { return sumScratch(s.in[0].size()); }

OP(klGaussianGrad) {  // (dkl, mu, rho, [priorMean], [priorSigma], [mask]) -> dmu, drho
  const float k = *s.in[0].f32(), *mu = s.in[1].f32(), *rho = s.in[2].f32();
  const GaussianPrior p(s, 3);
  const Mask mask(s);
  float *dmu = s.out[0] ? s.out[0].f32() : nullptr, *drho = s.out[1] ? s.out[1].f32() : nullptr;
  parallelRange(s.in[1].size(), SUM_CHUNK, [=](long from, long to) {
    eachVector(from, to, [=](long i, long n) {
      const vf precision = p.precisionAt(i, n);
      if (dmu) {
        const vf d = p.tied ? vf{} : k * ((loadn(mu + i, n) - p.meanAt(i, n)) * precision);
        storen(dmu + i, mask.of(d, i, n), n);
      }
      if (!drho) return;
      const Sigma q = sigmaOf(loadn(rho + i, n));
      storen(drho + i, mask.of(k * q.ratio * fma(q.sigma * q.sigma, precision, set1(-1.f)), i, n), n);
    });
  });
}
CONTRACT(klGaussianGrad) {
  c.in("dkl", "f32[1...]"), c.in("mu", "f32[...]"), c.in("rho", "f32[...]"), priorInputs(c, true, true);
  c.perhaps("dmu", "f32[...]"), c.perhaps("drho", "f32[...]");
}

}  // namespace ISA
}  // namespace bayes
