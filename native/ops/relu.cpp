// y = max(x, 0): one read and one write per element, bound by bandwidth.
#include "../vector/activation.h"
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(relu) {
  unary(s, [](vf x) { return reluv(x); });
}
CONTRACT(relu) { elementwise(c, "x"); }

OP(reluGrad) {  // (dy, y): dx = dy where y > 0
  binary(s, [](vf dy, vf y) { return y > 0.f ? dy : vf{}; });
}
CONTRACT(reluGrad) { elementwise(c, "dy", "y"); }

}  // namespace ISA
}  // namespace bayes
