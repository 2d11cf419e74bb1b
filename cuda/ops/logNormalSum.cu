// Sum of ln N(w; mean, sigma^2) over all weights, in nats. A sigma given per weight is held at 1e-10 or more.
#include "../math.h"
#include "../loops/prior.h"

namespace bayes {
namespace cuda {

struct LogNormal {
  const float* w;
  GaussianPrior p;
  Mask mask;
  __device__ __forceinline__ float operator()(long i) const {
    const float d = w[i] - p.meanAt(i);
    return mask.of((-0.91893853320467274f - p.logSigmaAt(i)) - 0.5f * (d * d * p.precisionAt(i)), i);
  }
};
struct LogNormalGrad {
  const float *dy, *w;
  GaussianPrior p;
  Mask mask;
  float *dw, *dmean, *dsigma;
  __device__ __forceinline__ void operator()(long i) const {
    const float k = *dy, e = w[i] - p.meanAt(i), g = e * p.precisionAt(i);
    if (dw) dw[i] = mask.of(-k * g, i);
    if (dmean) dmean[i] = mask.of(k * g, i);
    if (!dsigma) return;
    const float sigma = p.sigma[i];
    dsigma[i] = mask.of(sigma <= 1e-10f ? 0.f : k * (e * g - 1.f) / sigma, i);
  }
};

OP(logNormalSum, PRIOR) {  // (w, [priorMean], [priorSigma], [mask])
  sumOf(s, l, s.in[0].size(), LogNormal{s.in[0].f32(), GaussianPrior(s, 1), Mask(s)}, s.out[0].f32());
}
SCRATCH(logNormalSum) { return sumScratch(s.in[0].size()); }
// (dy, w, [priorMean], [priorSigma], [mask]) -> dw, and dmean and dsigma where these are inputs
OP(logNormalSumGrad, PRIOR) {
  const GaussianPrior p(s, 2);
  const int sigma = p.mean ? 2 : 1;
  each(s.in[1].size(), l,
       LogNormalGrad{s.in[0].f32(), s.in[1].f32(), p, Mask(s), outputOf(s, 0), p.mean ? outputOf(s, 1) : nullptr,
                     p.sigma ? outputOf(s, sigma) : nullptr});
}

}  // namespace cuda
}  // namespace bayes
