// Sum of ln q(w) at w = mu + sigma eps, in nats: -ln sqrt(2 pi) - ln(sigma^2) / 2 - eps^2 / 2. From eps, not from w -
// mu: no cancellation. sigma^2 is held at 1e-20 or more.
#include "../loops/sum.h"
namespace bayes {
namespace ISA {

OP(logPosteriorSum) {  // (sigma2, eps, [mask])
  const float *sigma2 = s.in[0].f32(), *eps = s.in[1].f32();
  const Mask mask(s);
  const double total = parallelSum(s.in[0].size(), static_cast<double*>(s.scratch), [=](long i, long n) {
    const vf e = loadn(eps + i, n), v = maxv(set1(1e-20f), loadn(sigma2 + i, n));
    return mask.of(-0.91893853320467274f - 0.5f * (logv(v) + e * e), i, n);
  });
  *s.out[0].f32() = (float)total;
}
CONTRACT(logPosteriorSum) {
  c.in("sigma2", "f32[...]"), c.in("eps", "f32[...]"), maskInput(c);
  c.out("sum", "f32[1...]");
}
SCRATCH(logPosteriorSum) { return sumScratch(s.in[0].size()); }

OP(logPosteriorSumGrad) {  // (dy, sigma2, [mask]): -1 / (2 sigma^2), 0 where it is held
  const float k = *s.in[0].f32(), *sigma2 = s.in[1].f32();
  const Mask mask(s);
  float* d = s.out[0].f32();
  parallelRange(s.in[1].size(), SUM_CHUNK, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      const vf v = loadn(sigma2 + i, to - i);
      storen(d + i, mask.of(select(v <= 1e-20f, vf{}, -0.5f * k / v), i, to - i), to - i);
    }
  });
}
CONTRACT(logPosteriorSumGrad) {
  c.in("dy", "f32[1...]"), c.in("sigma2", "f32[...]"), maskInput(c);
  c.out("dsigma2", "f32[...]");
}

}  // namespace ISA
}  // namespace bayes
