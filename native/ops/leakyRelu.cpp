// y = x where x > 0, else slope x.
#include "../vector/activation.h"
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(leakyRelu) {
  const vf slope = set1((float)s.attr("slope"));
  unary(s, [=](vf x) { return leakyReluv(x, slope); });
}
CONTRACT(leakyRelu) {
  c.number("slope");
  elementwise(c, "x");
}

OP(leakyReluGrad) {  // (dy, y), or (dy, x) where the slope is not positive
  const vf slope = set1((float)s.attr("slope"));
  binary(s, [=](vf dy, vf y) { return beforeActivation<LEAKY>(dy, y, slope); });
}
CONTRACT(leakyReluGrad) {
  c.number("slope");
  elementwise(c, "dy", "y");
}

}  // namespace ISA
}  // namespace bayes
