// Sum of ln(pi N(w; 0, s1^2) + (1 - pi) N(w; 0, s2^2)), Blundell et al. 2015 eq. 7, by log-sum-exp.
#include "../loops/sum.h"
namespace bayes {
namespace ISA {

struct ScaleMixture {
  vf a1, a2, h1, h2;  // ln of each component is a - h w^2, without the ln sqrt(2 pi)
  INL explicit ScaleMixture(const Step& s) {
    const double pi = s.attr("pi"), s1 = s.attr("sigma1"), s2 = s.attr("sigma2");
    a1 = set1((float)(::log(pi) - ::log(s1))), a2 = set1((float)(::log(1 - pi) - ::log(s2)));
    h1 = set1((float)(0.5 / (s1 * s1))), h2 = set1((float)(0.5 / (s2 * s2)));
  }
};

static inline void mixtureAttributes(Contract& c) {  // and the mask
  c.number("pi", 0, 1), c.number("sigma1", 1e-10, 1e10), c.number("sigma2", 1e-10, 1e10), maskInput(c);
}

OP(logScaleMixtureSum) {  // (w, [mask])
  const float* w = s.in[0].f32();
  const Mask mask(s);
  const ScaleMixture p(s);
  const double total = parallelSum(s.in[0].size(), static_cast<double*>(s.scratch), [=](long i, long n) {
    const vf v = loadn(w + i, n), w2 = v * v, l1 = p.a1 - p.h1 * w2, l2 = p.a2 - p.h2 * w2;
    return mask.of((maxv(l1, l2) - 0.91893853320467274f) + log1p01v(expv(-absv(l1 - l2))), i, n);
  });
  *s.out[0].f32() = (float)total;
}
CONTRACT(logScaleMixtureSum) {
  c.in("w", "f32[...]"), mixtureAttributes(c);
  c.out("sum", "f32[1...]");
}
SCRATCH(logScaleMixtureSum) { return sumScratch(s.in[0].size()); }

OP(logScaleMixtureSumGrad) {  // (dy, w, [mask]): -w (r / s1^2 + (1 - r) / s2^2), r = the share of component 1
  const float k = *s.in[0].f32(), *w = s.in[1].f32();
  const Mask mask(s);
  const ScaleMixture p(s);
  float* dw = s.out[0].f32();
  parallelRange(s.in[1].size(), SUM_CHUNK, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      const vf v = loadn(w + i, to - i), w2 = v * v;
      const vf d = (p.a1 - p.h1 * w2) - (p.a2 - p.h2 * w2);
      const vf g = -k * ((v + v) * (sigmoidv(d) * p.h1 + sigmoidv(-d) * p.h2));
      storen(dw + i, mask.of(g, i, to - i), to - i);
    }
  });
}
CONTRACT(logScaleMixtureSumGrad) {
  c.in("dy", "f32[1...]"), c.in("w", "f32[...]"), mixtureAttributes(c);
  c.out("dw", "f32[...]");
}

}  // namespace ISA
}  // namespace bayes
