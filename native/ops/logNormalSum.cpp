// Sum of ln N(w; mean, sigma^2) over all weights, in nats: a Gaussian density for a sampled KL. A sigma given per
// weight is held at 1e-10 or more.
#include "../loops/prior.h"
namespace bayes {
namespace ISA {

OP(logNormalSum) {  // (w, [priorMean], [priorSigma], [mask])
  const float* w = s.in[0].f32();
  const GaussianPrior p(s, s.in + 1);
  const Mask mask(s);
  const double total = parallelSum(s.in[0].size(), static_cast<double*>(s.scratch), [=](long i, long n) {
    const vf d = loadn(w + i, n) - p.meanAt(i, n);
    return mask.of((-0.91893853320467274f - p.logSigmaAt(i, n)) - 0.5f * (d * d * p.precisionAt(i, n)), i, n);
  });
  *s.out[0].f32() = (float)total;
}
CONTRACT(logNormalSum) {
  c.in("w", "f32[...]"), priorInputs(c, true, false);
  c.out("sum", "f32[1...]");
}
SCRATCH(logNormalSum) { return sumScratch(s.in[0].size()); }

// (dy, w, [priorMean], [priorSigma], [mask]) -> dw, and dmean and dsigma where these are inputs
OP(logNormalSumGrad) {
  const float k = *s.in[0].f32(), *w = s.in[1].f32();
  const GaussianPrior p(s, s.in + 2);
  const Mask mask(s);
  int next = 0;
  const auto output = [&](bool there) {
    const Tensor* t = there ? s.out + next++ : nullptr;
    return t && *t ? t->f32() : nullptr;
  };
  float* dw = output(true);
  float* dmean = output(p.mean);
  float* dsigma = output(p.sigma);
  parallelRange(s.in[1].size(), SUM_CHUNK, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      const long n = to - i;
      const vf e = loadn(w + i, n) - p.meanAt(i, n), g = e * p.precisionAt(i, n);
      if (dw) storen(dw + i, mask.of(-k * g, i, n), n);
      if (dmean) storen(dmean + i, mask.of(k * g, i, n), n);
      if (!dsigma) continue;
      const vf sigma = loadn(p.sigma + i, n);
      storen(dsigma + i, mask.of(select(sigma <= 1e-10f, vf{}, k * (e * g - 1.f) / sigma), i, n), n);
    }
  });
}
CONTRACT(logNormalSumGrad) {
  c.in("dy", "f32[1...]"), c.in("w", "f32[...]"), priorInputs(c, true, false);
  c.perhaps("dw", "f32[...]");
  if (c.flag("meanInput")) c.perhaps("dmean", "f32[...]");
  if (c.flag("sigmaInput")) c.perhaps("dsigma", "f32[...]");
}

}  // namespace ISA
}  // namespace bayes
