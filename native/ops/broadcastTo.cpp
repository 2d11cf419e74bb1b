// x repeated to a larger shape: one read, one write.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(broadcastTo) {
  broadcastBinary(s, s.in[0], s.in[0], [](vf a, vf) { return a; });
}
CONTRACT(broadcastTo) {
  const Tensor& x = c.in("x", "f32[*]");
  const Tensor& y = c.out("y", "f32[...]");
  if (c.inputsLeft()) c.in("like", "f32[...]");  // the exporter's: the kernel does not read it
  c.shape("shape", y), broadcasts(c, x, y, y);
}

}  // namespace ISA
}  // namespace bayes
