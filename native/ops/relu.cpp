// y = max(x, 0): one read and one write per element, bound by bandwidth.
#include "../simd.h"
namespace bayes {
namespace ISA {

OP(relu) {
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  parallelRange(s.in[0].size(), 16384, [=](long from, long to) {
    for (long i = from; i < to; i += W) {
      vf v = loadn(x + i, to - i);
      storen(y + i, v < 0.f ? vf{} : v, to - i);  // a NaN stays a NaN
    }
  });
}

OP(reluGrad) {  // dx = dy where y > 0
  const float *dy = s.in[0].f32(), *y = s.in[1].f32();
  float* dx = s.out[0].f32();
  parallelRange(s.in[0].size(), 16384, [=](long from, long to) {
    for (long i = from; i < to; i += W)
      storen(dx + i, loadn(y + i, to - i) > 0.f ? loadn(dy + i, to - i) : vf{}, to - i);
  });
}

}  // namespace ISA
}  // namespace bayes
