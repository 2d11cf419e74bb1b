// y = x^2.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(square) {
  unary(s, [](vf x) { return x * x; });
}
CONTRACT(square) { elementwise(c, "x"); }

}  // namespace ISA
}  // namespace bayes
