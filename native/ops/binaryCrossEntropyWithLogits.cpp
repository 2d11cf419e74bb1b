// -t ln sigmoid(x) - (1 - t) ln(1 - sigmoid(x)) = max(x, 0) - t x + log1p(e^-|x|) per element.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(binaryCrossEntropyWithLogits) {
  binary(s, [](vf x, vf t) { return (maxv(vf{}, x) - t * x) + log1p01v(expv(-absv(x))); });
}
CONTRACT(binaryCrossEntropyWithLogits) { elementwise(c, "x", "t"); }

OP(binaryCrossEntropyWithLogitsGrad) {  // (dloss, x, t): (sigmoid(x) - t) dloss
  const float *d = s.in[0].f32(), *x = s.in[1].f32(), *t = s.in[2].f32();
  float* out = s.out[0].f32();
  parallelRange(s.in[0].size(), ELEMENTWISE_GRAIN, [=](long from, long to) {
    for (long i = from; i < to; i += W)
      storen(out + i, (sigmoidv(loadn(x + i, to - i)) - loadn(t + i, to - i)) * loadn(d + i, to - i), to - i);
  });
}
CONTRACT(binaryCrossEntropyWithLogitsGrad) { elementwise(c, "dloss", "x", "t"); }

}  // namespace ISA
}  // namespace bayes
