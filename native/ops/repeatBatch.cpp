// The whole batch again for each Monte-Carlo sample: [B, ...] -> [S*B, ...], sample-major. The gradient sums the
// samples in order.
#include "../vector/simd.h"
namespace bayes {
namespace ISA {

OP(repeatBatch) {
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  const long n = s.in[0].size(), samples = n ? s.out[0].size() / n : 0;
  parallelRange(n, 16384, [=](long from, long to) {
    for (long k = 0; k < samples; k++) memcpy(y + k * n + from, x + from, (to - from) * sizeof(float));
  });
}
CONTRACT(repeatBatch) {
  c.in("x", "f32[B, ...]");
  c.let('N', c.whole("samples", 1, 1 << 20) * c['B']), c.out("y", "f32[N, ...]");
}

OP(repeatBatchGrad) {
  const float* dy = s.in[0].f32();
  float* dx = s.out[0].f32();
  const long n = s.out[0].size(), samples = n ? s.in[0].size() / n : 0;
  parallelRange(n, 4096, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      vf sum = loadn(dy + i, to - i);
      for (long k = 1; k < samples; k++) sum += loadn(dy + k * n + i, to - i);
      storen(dx + i, sum, to - i);
    }
  });
}
CONTRACT(repeatBatchGrad) {
  c.out("dx", "f32[B, ...]");
  c.let('N', c.whole("samples", 1, 1 << 20) * c['B']), c.in("dy", "f32[N, ...]");
}

}  // namespace ISA
}  // namespace bayes
