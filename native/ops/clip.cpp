// y = x limited to [min, max]; the gradient passes where x is inside, ends included.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(clip) {
  const vf lo = set1((float)s.attr("min")), hi = set1((float)s.attr("max"));
  unary(s, [=](vf x) { return select(x < lo, lo, select(x > hi, hi, x)); });  // a NaN stays a NaN
}
CONTRACT(clip) {
  c.number("max", c.number("min"));
  elementwise(c, "x");
}

OP(clipGrad) {  // (dy, x)
  const vf lo = set1((float)s.attr("min")), hi = set1((float)s.attr("max"));
  binary(s, [=](vf dy, vf x) { return select((x >= lo) & (x <= hi), dy, vf{}); });
}
CONTRACT(clipGrad) {
  c.number("max", c.number("min"));
  elementwise(c, "dy", "x");
}

}  // namespace ISA
}  // namespace bayes
