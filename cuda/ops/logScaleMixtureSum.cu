// Sum of ln(pi N(w; 0, s1^2) + (1 - pi) N(w; 0, s2^2)), Blundell et al. 2015 eq. 7, by log-sum-exp.
#include "../math.h"
#include "../loops/sum.h"

namespace bayes {
namespace cuda {

struct ScaleMixture {
  float a1, a2, h1, h2;  // ln of each component is a - h w^2, without the ln sqrt(2 pi)
  explicit ScaleMixture(const Step& s) {
    const double pi = s.attr("pi"), s1 = s.attr("sigma1"), s2 = s.attr("sigma2");
    a1 = static_cast<float>(::log(pi) - ::log(s1)), a2 = static_cast<float>(::log(1 - pi) - ::log(s2));
    h1 = static_cast<float>(0.5 / (s1 * s1)), h2 = static_cast<float>(0.5 / (s2 * s2));
  }
};
struct LogScaleMixture {
  const float* w;
  Mask mask;
  ScaleMixture p;
  __device__ __forceinline__ float operator()(long i) const {
    const float w2 = w[i] * w[i], l1 = p.a1 - p.h1 * w2, l2 = p.a2 - p.h2 * w2;
    return mask.of(((l1 > l2 ? l1 : l2) - 0.91893853320467274f) + log1p01(expf(-fabsf(l1 - l2))), i);
  }
};
struct LogScaleMixtureGrad {  // -w (r / s1^2 + (1 - r) / s2^2), r = the share of component 1
  const float *dy, *w;
  Mask mask;
  ScaleMixture p;
  float* dw;
  __device__ __forceinline__ void operator()(long i) const {
    const float v = w[i], w2 = v * v, d = (p.a1 - p.h1 * w2) - (p.a2 - p.h2 * w2);
    dw[i] = mask.of(-*dy * ((v + v) * (sigmoid(d) * p.h1 + sigmoid(-d) * p.h2)), i);
  }
};

OP(logScaleMixtureSum, "pi sigma1 sigma2 masked") {  // (w, [mask])
  sumOf(s, l, s.in[0].size(), LogScaleMixture{s.in[0].f32(), Mask(s), ScaleMixture(s)}, s.out[0].f32());
}
SCRATCH(logScaleMixtureSum) { return sumScratch(s.in[0].size()); }
OP(logScaleMixtureSumGrad, "pi sigma1 sigma2 masked") {  // (dy, w, [mask])
  each(s.in[1].size(), l, LogScaleMixtureGrad{s.in[0].f32(), s.in[1].f32(), Mask(s), ScaleMixture(s), s.out[0].f32()});
}

}  // namespace cuda
}  // namespace bayes
