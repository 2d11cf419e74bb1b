// Scales all gradients by min(1, maxNorm / (norm + 1e-6)), norm = that of all of them together, as PyTorch does.
#include "../loops/optimizer.h"
namespace bayes {
namespace ISA {

OP(globalNorm) {  // (tensors...) -> f32[]
  const Groups inputs{s, 0, 1};
  double* partial = static_cast<double*>(s.scratch);
  inputs.each([=](const Tensor* in, long, long from, long to, long task) {
    const float* x = in[0].f32();
    partial[task] = rangeSum(from, to, [=](long i, long n) { return loadn(x + i, n) * loadn(x + i, n); });
  });
  double total = 0;
  for (long t = 0; t < inputs.tasks(); t++) total += partial[t];
  *s.out[0].f32() = (float)::sqrt(total);
}
CONTRACT(globalNorm) {
  while (c.inputsLeft()) c.in("x", "f32[*]");
  c.out("norm", "f32[1...]");
}
SCRATCH(globalNorm) { return (size_t)Groups{s, 0, 1}.tasks() * sizeof(double); }

OP(clipByGlobalNorm) {  // (norm f32[], maxNorm f32[], tensors...) -> tensors...
  const double ratio = *s.in[1].f32() / ((double)*s.in[0].f32() + 1e-6);
  const float k = ratio < 1 ? (float)ratio : 1.f;
  Groups{s, 2, 1}.each([&](const Tensor* in, long group, long from, long to, long) {
    if (!s.out[group]) return;
    const float* x = in[0].f32();
    float* y = s.out[group].f32();
    for (long i = from; i < to; i += W) storen(y + i, k * loadn(x + i, to - i), to - i);
  });
}
CONTRACT(clipByGlobalNorm) {
  c.in("norm", "f32[1...]"), c.in("maxNorm", "f32[1...]");
  while (c.inputsLeft()) c.anew(), c.in("x", "f32[...]"), c.perhaps("y", "f32[...]");
}

}  // namespace ISA
}  // namespace bayes
