// -t ln sigmoid(x) - (1 - t) ln(1 - sigmoid(x)) = max(x, 0) - t x + log1p(e^-|x|) per element.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(binaryCrossEntropyWithLogits) {
  binary(s, [](vf x, vf t) { return (maxv(vf{}, x) - t * x) + log1p01v(expv(-absv(x))); });
}
CONTRACT(binaryCrossEntropyWithLogits) { elementwise(c, "x", "t"); }

OP(binaryCrossEntropyWithLogitsGrad) {  // (dloss, x, t): (sigmoid(x) - t) dloss
  ternary(s, [](vf d, vf x, vf t) { return (sigmoidv(x) - t) * d; });
}
CONTRACT(binaryCrossEntropyWithLogitsGrad) { elementwise(c, "dloss", "x", "t"); }

}  // namespace ISA
}  // namespace bayes
