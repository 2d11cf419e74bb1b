// y = 1 / (1 + e^-x), with e^-|x| so that neither tail overflows.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(sigmoid) {
  unary(s, [](vf x) { return sigmoidv(x); });
}
CONTRACT(sigmoid) { elementwise(c, "x"); }

OP(sigmoidGrad) {  // (dy, y)
  binary(s, [](vf dy, vf y) { return dy * y * (1.f - y); });
}
CONTRACT(sigmoidGrad) { elementwise(c, "dy", "y"); }

}  // namespace ISA
}  // namespace bayes
