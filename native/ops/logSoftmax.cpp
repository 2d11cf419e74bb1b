// Log-softmax over the last axis: (x - max) - ln sum e^(x - max).
#include "../loops/softmax.h"
namespace bayes {
namespace ISA {

OP(logSoftmax) {
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  forRows(s.in[0], [=](long row, long c) {
    const float* a = x + row * c;
    const float max = rowMax(a, c), log = logSumBelow(a, max, c);
    for (long i = 0; i < c; i += W) storen(y + row * c + i, (loadn(a + i, c - i) - max) - log, c - i);
  });
}
CONTRACT(logSoftmax) { c.in("x", "f32[..., C]"), c.out("y", "f32[..., C]"); }

OP(logSoftmaxGrad) {  // (dy, y): dy - e^y sum dy
  const float *dy = s.in[0].f32(), *y = s.in[1].f32();
  float* dx = s.out[0].f32();
  forRows(s.in[1], [=](long row, long c) {
    const float *g = dy + row * c, *l = y + row * c;
    const float total = rowSum(c, [=](long i, long n) { return loadn(g + i, n); });
    for (long i = 0; i < c; i += W)
      storen(dx + row * c + i, loadn(g + i, c - i) - expv(loadn(l + i, c - i)) * total, c - i);
  });
}
CONTRACT(logSoftmaxGrad) { c.in("dy", "f32[..., C]"), c.in("y", "f32[..., C]"), c.out("dx", "f32[..., C]"); }

}  // namespace ISA
}  // namespace bayes
