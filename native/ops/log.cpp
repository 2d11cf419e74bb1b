// y = ln x: -inf at 0, NaN below.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(log) {
  unary(s, [](vf x) { return logv(x); });
}
CONTRACT(log) { elementwise(c, "x"); }

}  // namespace ISA
}  // namespace bayes
