// (prediction - target)^2 per element.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(squaredError) {
  binary(s, [](vf y, vf t) { return (y - t) * (y - t); });
}
CONTRACT(squaredError) { elementwise(c, "prediction", "target"); }

OP(squaredErrorGrad) {  // (dloss, prediction, target): 2 (prediction - target) dloss
  const float *d = s.in[0].f32(), *y = s.in[1].f32(), *t = s.in[2].f32();
  float* out = s.out[0].f32();
  parallelRange(s.in[0].size(), ELEMENTWISE_GRAIN, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      const vf e = loadn(y + i, to - i) - loadn(t + i, to - i);
      storen(out + i, (e + e) * loadn(d + i, to - i), to - i);
    }
  });
}
CONTRACT(squaredErrorGrad) { elementwise(c, "dloss", "prediction", "target"); }

}  // namespace ISA
}  // namespace bayes
