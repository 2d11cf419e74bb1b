// y = |x|; the slope at 0 is 0.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(abs) {
  unary(s, [](vf x) { return absv(x); });
}
CONTRACT(abs) { elementwise(c, "x"); }

OP(absGrad) {  // (dy, x)
  binary(s, [](vf dy, vf x) { return select(x > 0.f, dy, select(x < 0.f, -dy, vf{})); });
}
CONTRACT(absGrad) { elementwise(c, "dy", "x"); }

}  // namespace ISA
}  // namespace bayes
