// y = x where x > 0, else slope x.
#include "../elementwise.h"
namespace bayes {
namespace ISA {

OP(leakyRelu) {
  const vf slope = set1((float)s.attr("slope"));
  unary(s, [=](vf x) { return select(x < 0.f, slope * x, x); });  // a NaN stays a NaN
}

OP(leakyReluGrad) {  // (dy, x)
  const vf slope = set1((float)s.attr("slope"));
  binary(s, [=](vf dy, vf x) { return select(x > 0.f, dy, slope * dy); });
}

}  // namespace ISA
}  // namespace bayes
