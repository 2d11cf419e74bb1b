// y = ln(1 + e^x) = max(x, 0) + log1p(e^-|x|). Its gradient reads the output, so the input need not be kept.
#include "../vector/activation.h"
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(softplus) {
  unary(s, [](vf x) { return softplusv(x); });
}
CONTRACT(softplus) { elementwise(c, "x"); }

OP(softplusGrad) {  // (dy, y)
  binary(s, [](vf dy, vf y) { return beforeActivation<SOFTPLUS>(dy, y, vf{}); });
}
CONTRACT(softplusGrad) { elementwise(c, "dy", "y"); }

}  // namespace ISA
}  // namespace bayes
