// a + b with NumPy broadcasting, or sums of `terms` tensors of one shape from left to right, one after the other.
#include "../loops/broadcast.h"
namespace bayes {
namespace ISA {

OP(add) {
  const auto plus = [](vf a, vf b) { return a + b; };
  const int terms = (int)s.attr("terms", 2);
  if (terms == 2) return broadcastBinary(s, plus);
  Groups{s, 0, terms, ELEMENTWISE_GRAIN}.each([&](const Tensor* in, long group, long from, long to, long) {
    float* y = s.out[group].f32();
    eachVector(from, to, [=](long i, long n) {
      vf total = loadn(in[0].f32() + i, n);
      for (int t = 1; t < terms; t++) total += loadn(in[t].f32() + i, n);
      storen(y + i, total, n);
    });
  });
}
CONTRACT(add) {
  const long terms = c.whole("terms", 2, Contract::MOST, 2);
  if (terms == 2) return broadcastContract(c);
  do {
    c.anew();
    for (long t = 0; t < terms; t++) c.in("a term", "f32[...]");
    c.inPlace(~0u), c.out("y", "f32[...]");
  } while (c.inputsLeft());
}

}  // namespace ISA
}  // namespace bayes
