// y = a x + b with constants a and b.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(scale) {
  const vf a = set1((float)s.attr("a", 1)), b = set1((float)s.attr("b"));
  unary(s, [=](vf x) { return a * x + b; });
}
CONTRACT(scale) {
  c.number("a"), c.number("b");
  elementwise(c, "x");
}

}  // namespace ISA
}  // namespace bayes
