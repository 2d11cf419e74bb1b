// (prediction - target)^2 per element.
#include "../loops/elementwise.h"
namespace bayes {
namespace ISA {

OP(squaredError) {
  binary(s, [](vf y, vf t) { return (y - t) * (y - t); });
}
CONTRACT(squaredError) { elementwise(c, "prediction", "target"); }

OP(squaredErrorGrad) {  // (dloss, prediction, target): 2 (prediction - target) dloss
  ternary(s, [](vf d, vf y, vf t) {
    const vf e = y - t;
    return (e + e) * d;
  });
}
CONTRACT(squaredErrorGrad) { elementwise(c, "dloss", "prediction", "target"); }

}  // namespace ISA
}  // namespace bayes
