// y = sqrt(x). The gradient at 0 is 0, not infinite: a variance of exactly zero does no harm.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(sqrt) {
  unary(s, [](vf x) { return sqrtv(x); });
}
CONTRACT(sqrt) { elementwise(c, "x"); }

OP(sqrtGrad) {  // (dy, y)
  binary(s, [](vf dy, vf y) { return select(y == 0.f, vf{}, dy * 0.5f / y); });
}
CONTRACT(sqrtGrad) { elementwise(c, "dy", "y"); }

}  // namespace ISA
}  // namespace bayes
