// KL(q || p) in nats, summed: q = N(mu, softplus(rho)^2), p Gaussian;
// ln(sp / s) + (s^2 + (mu - mp)^2) / (2 sp^2) - 1/2.
#include "../math.h"
#include "../loops/prior.h"

namespace bayes {
namespace cuda {

struct KlGaussian {
  const float *mu, *rho;
  GaussianPrior p;
  Mask mask;
  __device__ __forceinline__ float operator()(long i) const {
    const float r = rho[i], d = p.tied ? 0.f : mu[i] - p.meanAt(i);
    const Sigma q = sigmaOf(r);
    const float squares = fmaf(q.sigma, q.sigma, d * d) * p.precisionAt(i);
    return mask.of(((p.logSigmaAt(i) - logf(q.body)) - (r < 0 ? r : 0.f)) + (0.5f * squares - 0.5f), i);
  }
};
struct KlGaussianGrad {
  const float *dkl, *mu, *rho;
  GaussianPrior p;
  Mask mask;
  float *dmu, *drho;  // null: nobody reads it
  __device__ __forceinline__ void operator()(long i) const {
    const float k = *dkl, precision = p.precisionAt(i);
    if (dmu) dmu[i] = mask.of(p.tied ? 0.f : k * ((mu[i] - p.meanAt(i)) * precision), i);
    if (!drho) return;
    const Sigma q = sigmaOf(rho[i]);
    drho[i] = mask.of(k * q.ratio * fmaf(q.sigma * q.sigma, precision, -1.f), i);
  }
};

OP(klGaussian, PRIOR) {  // (mu, rho, [priorMean], [priorSigma], [mask])
  const KlGaussian term{s.in[0].f32(), s.in[1].f32(), GaussianPrior(s, 2), Mask(s)};
  sumOf(s, l, s.in[0].size(), term, s.out[0].f32());
}
SCRATCH(klGaussian) { return sumScratch(s.in[0].size()); }
OP(klGaussianGrad, PRIOR) {  // (dkl, mu, rho, [priorMean], [priorSigma], [mask]) -> dmu, drho
  each(s.in[1].size(), l,
       KlGaussianGrad{s.in[0].f32(), s.in[1].f32(), s.in[2].f32(), GaussianPrior(s, 3), Mask(s), outputOf(s, 0),
                      outputOf(s, 1)});
}

}  // namespace cuda
}  // namespace bayes
