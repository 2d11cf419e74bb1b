// -ln N(target; mean, e^logVar) = (ln 2pi + logVar + (target - mean)^2 e^-logVar) / 2 per element.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(gaussianNll) {
  ternary(s, [](vf mean, vf logVar, vf target) {
    const vf e = target - mean;
    return 0.5f * ((1.8378770664093453f + logVar) + e * e * expv(-logVar));
  });
}
CONTRACT(gaussianNll) { elementwise(c, "mean", "logVar", "target"); }

OP(gaussianNllGrad) {  // (dloss, mean, logVar, target) -> dmean, dlogVar
  const float *d = s.in[0].f32(), *mean = s.in[1].f32(), *logVar = s.in[2].f32(), *target = s.in[3].f32();
  float *dmean = s.out[0] ? s.out[0].f32() : nullptr, *dlogVar = s.out[1] ? s.out[1].f32() : nullptr;
  parallelRange(s.in[0].size(), ELEMENTWISE_GRAIN, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      const long n = to - i;
      const vf e = loadn(target + i, n) - loadn(mean + i, n), g = loadn(d + i, n);
      const vf p = expv(-loadn(logVar + i, n));
      if (dmean) storen(dmean + i, -(e * p) * g, n);
      if (dlogVar) storen(dlogVar + i, 0.5f * (1.f - e * e * p) * g, n);
    }
  });
}
CONTRACT(gaussianNllGrad) {
  c.in("dloss", "f32[...]"), c.in("mean", "f32[...]"), c.in("logVar", "f32[...]"), c.in("target", "f32[...]");
  c.perhaps("dmean", "f32[...]"), c.perhaps("dlogVar", "f32[...]");
}

}  // namespace ISA
}  // namespace bayes
