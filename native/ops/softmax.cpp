// Softmax over the last axis.
#include "../loops/softmax.h"
namespace bayes {
namespace ISA {

OP(softmax) {
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  forRows(s.in[0], [=](long row, long c) {
    const float* a = x + row * c;
    float* b = y + row * c;
    const vf max = set1(rowMax(a, c));
    const float total = rowSum(c, [=](long i, long n) {
      const vf e = expv(loadn(a + i, n) - max);
      storen(b + i, e, n);
      return e;
    });
    for (long i = 0; i < c; i += W) storen(b + i, loadn(b + i, c - i) / total, c - i);
  });
}
CONTRACT(softmax) { c.in("x", "f32[..., C]"), c.out("y", "f32[..., C]"); }

OP(softmaxGrad) {  // (dy, y): y (dy - sum dy y)
  const float *dy = s.in[0].f32(), *y = s.in[1].f32();
  float* dx = s.out[0].f32();
  forRows(s.in[1], [=](long row, long c) {
    const float *g = dy + row * c, *p = y + row * c;
    const float mean = rowSum(c, [=](long i, long n) { return loadn(g + i, n) * loadn(p + i, n); });
    for (long i = 0; i < c; i += W) storen(dx + row * c + i, loadn(p + i, c - i) * (loadn(g + i, c - i) - mean), c - i);
  });
}
CONTRACT(softmaxGrad) { c.in("dy", "f32[..., C]"), c.in("y", "f32[..., C]"), c.out("dx", "f32[..., C]"); }

}  // namespace ISA
}  // namespace bayes
