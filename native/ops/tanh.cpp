// y = tanh x.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(tanh) {
  unary(s, [](vf x) { return tanhv(x); });
}
CONTRACT(tanh) { elementwise(c, "x"); }

OP(tanhGrad) {  // (dy, y)
  binary(s, [](vf dy, vf y) { return dy * (1.f - y * y); });
}
CONTRACT(tanhGrad) { elementwise(c, "dy", "y"); }

}  // namespace ISA
}  // namespace bayes
