// y = ln(1 + e^x) = max(x, 0) + log1p(e^-|x|).
#include "../elementwise.h"
namespace bayes {
namespace ISA {

OP(softplus) {
  unary(s, [](vf x) { return softplusv(x); });
}

OP(softplusGrad) {  // (dy, x)
  binary(s, [](vf dy, vf x) { return dy * sigmoidv(x); });
}

}  // namespace ISA
}  // namespace bayes
