// y = x^2.
#include "../elementwise.h"
namespace bayes {
namespace ISA {

OP(square) {
  unary(s, [](vf x) { return x * x; });
}

}  // namespace ISA
}  // namespace bayes
