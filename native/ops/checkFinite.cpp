// Stops the step, before anything is committed, when any element of any input is NaN or infinite.
#include "../loops/optimizer.h"
namespace bayes {
namespace ISA {

OP(checkFinite) {
  const Groups inputs{s, 0, 1};
  int32_t* bad = static_cast<int32_t*>(s.scratch);  // per task: a task may not throw
  inputs.each([=](const Tensor* in, long, long from, long to, long task) {
    const float* x = in[0].f32();
    vi any{};
    eachVector(from, to, [&](long i, long n) { any |= (asInt(loadn(x + i, n)) & 0x7f800000) == 0x7f800000; });
    int32_t found = 0;
    for (int i = 0; i < W; i++) found |= any[i];
    bad[task] = found;
  });
  for (long t = 0; t < inputs.tasks(); t++)
    if (bad[t]) failNonFinite();
}
CONTRACT(checkFinite) {
  c.beforeCommits();
  while (c.inputsLeft()) c.in("x", "f32[*]");
}
SCRATCH(checkFinite) { return (size_t)Groups{s, 0, 1}.tasks() * sizeof(int32_t); }

}  // namespace ISA
}  // namespace bayes
