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

INL Groups lists(const Step& s) { return {s, 0, 2 + priorSize(s), SUM_CHUNK}; }

OP(klGaussian) {  // per parameter: mu, rho, [priorMean], [priorSigma], [mask]; its KL
  const Groups weights = lists(s);
  weights.sums(static_cast<double*>(s.scratch), [&](const Tensor* in, long from, long to) {
    const float *mu = in[0].f32(), *rho = in[1].f32();
    const GaussianPrior p(s, in + 2);
    const float* keep = Mask(s, in + weights.size - 1).keep;
    return rangeOfBlocks(from, to, [=](long a, long b) {
      return keep ? klBlock<true>(mu, rho, p, keep, a, b) : klBlock<false>(mu, rho, p, keep, a, b);
    });
  });
}
CONTRACT(klGaussian) {
  do {
    c.anew();
    c.in("mu", "f32[...]"), c.in("rho", "f32[...]"), priorInputs(c, true, true);
    c.out("kl", "f32[1...]");
  } while (c.inputsLeft());
}
SCRATCH(klGaussian) { return (size_t)lists(s).tasks() * sizeof(double); }

// (dkl, then per parameter: mu, rho, [priorMean], [priorSigma], [mask]) -> dmu, drho of each; `onto`: (…, dmu, drho so
// far), which they are added to
OP(klGaussianGrad) {
  const float k = *s.in[0].f32();
  const int own = 2 + priorSize(s);
  const bool onto = s.attr("onto") != 0;
  Groups{s, 1, onto ? own + 2 : own, SUM_CHUNK}.each([&](const Tensor* in, long group, long from, long to, long) {
    const float *mu = in[0].f32(), *rho = in[1].f32();
    const float *mu0 = onto ? in[own].f32() : nullptr, *rho0 = onto ? in[own + 1].f32() : nullptr;
    const Tensor* out = s.out + 2 * group;
    float *dmu = out[0] ? out[0].f32() : nullptr, *drho = out[1] ? out[1].f32() : nullptr;
    const GaussianPrior p(s, in + 2);
    const Mask mask(s, in + own - 1);
    eachVector(from, to, [=](long i, long n) {
      const vf precision = p.precisionAt(i, n);
      if (dmu) {
        const vf d = mask.of(p.tied ? vf{} : k * ((loadn(mu + i, n) - p.meanAt(i, n)) * precision), i, n);
        storen(dmu + i, mu0 ? loadn(mu0 + i, n) + d : d, n);
      }
      if (!drho) return;
      const Sigma q = sigmaOf(loadn(rho + i, n));
      const vf d = mask.of(k * q.ratio * fma(q.sigma * q.sigma, precision, set1(-1.f)), i, n);
      storen(drho + i, rho0 ? loadn(rho0 + i, n) + d : d, n);
    });
  });
}
CONTRACT(klGaussianGrad) {
  const bool onto = c.whole("onto", 0, 1, 0) != 0;
  c.in("dkl", "f32[1...]");
  do {
    c.anew();
    c.in("mu", "f32[...]"), c.in("rho", "f32[...]"), priorInputs(c, true, true);
    if (onto) c.inPlace(c.nextBit()), c.in("dmu so far", "f32[...]");
    c.perhaps("dmu", "f32[...]");
    if (onto) c.inPlace(c.nextBit()), c.in("drho so far", "f32[...]");
    c.perhaps("drho", "f32[...]");
  } while (c.inputsLeft());
}

}  // namespace ISA
}  // namespace bayes
