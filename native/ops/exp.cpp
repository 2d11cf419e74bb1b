// y = e^x.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(exp) {
  unary(s, [](vf x) { return expv(x); });
}
CONTRACT(exp) { elementwise(c, "x"); }

}  // namespace ISA
}  // namespace bayes
