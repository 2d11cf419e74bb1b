// Cross-entropy of softmax(logits) per row, in nats: logits [S*B, C], labels [B], row q has label q mod B.
#include "../loops/softmax.h"
namespace bayes {
namespace ISA {

// Labels are data that TypeScript has not seen.
INL void checkLabels(const Step& s, const Tensor& labels, long classes) {
  const int32_t* y = labels.i32();
  for (long i = 0, n = labels.size(); i < n; i++)
    if (y[i] < 0 || y[i] >= classes) failStep(s, "a label is outside [0, classes)");
}

OP(softmaxCrossEntropy) {
  const float* x = s.in[0].f32();
  const int32_t* labels = s.in[1].i32();
  const long batch = s.in[1].size();
  float* loss = s.out[0].f32();
  checkLabels(s, s.in[1], s.in[0].dim(-1));
  forRows(s.in[0], [=](long row, long c) {
    const float* a = x + row * c;
    const float max = rowMax(a, c);
    const long y = labels[row % batch];
    const float own = y >= 0 && y < c ? a[y] : NAN;  // it may have changed under the run
    loss[row] = logSumBelow(a, max, c) - (own - max);
  });
}
CONTRACT(softmaxCrossEntropy) {
  c.in("logits", "f32[N, C]"), c.in("labels", "i32[B]");
  labelledRows(c);
  c.out("loss", "f32[N]");
}

OP(softmaxCrossEntropyGrad) {  // (dloss, logits, labels): (softmax - onehot) dloss
  const float *dloss = s.in[0].f32(), *x = s.in[1].f32();
  const int32_t* labels = s.in[2].i32();
  const long batch = s.in[2].size();
  float* dx = s.out[0].f32();
  checkLabels(s, s.in[2], s.in[1].dim(-1));
  forRows(s.in[1], [=](long row, long c) {
    const float *a = x + row * c, g = dloss[row];
    float* d = dx + row * c;
    const vf max = set1(rowMax(a, c));
    const float total = rowSum(c, [=](long i, long n) {
      const vf e = expv(loadn(a + i, n) - max);
      storen(d + i, e, n);
      return e;
    });
    const vf k = set1(g / total);
    for (long i = 0; i < c; i += W) storen(d + i, loadn(d + i, c - i) * k, c - i);
    const long y = labels[row % batch];
    if (y >= 0 && y < c) d[y] -= g;  // else it has changed under the run
  });
}
CONTRACT(softmaxCrossEntropyGrad) {
  c.in("dloss", "f32[N]"), c.in("logits", "f32[N, C]"), c.in("labels", "i32[B]");
  labelledRows(c);
  c.out("dlogits", "f32[N, C]");
}

}  // namespace ISA
}  // namespace bayes
