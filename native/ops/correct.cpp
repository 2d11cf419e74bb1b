// How many rows have their largest logit at the label: the lowest index wins a tie, a row with a NaN is wrong.
#include "../loops/softmax.h"
namespace bayes {
namespace ISA {

OP(correct) {
  const float* x = s.in[0].f32();
  const int32_t* labels = s.in[1].i32();
  const long batch = s.in[1].size(), c = s.in[0].dim(-1), rows = s.in[0].size() / c;
  long right = 0;
  for (long row = 0; row < rows; row++) {
    const float* a = x + row * c;
    long best = 0;
    bool nan = a[0] != a[0];
    for (long i = 1; i < c; i++) {
      if (a[i] > a[best]) best = i;
      nan |= a[i] != a[i];
    }
    right += !nan && best == labels[row % batch];
  }
  *s.out[0].f32() = (float)right;
}
CONTRACT(correct) {
  c.in("logits", "f32[N, C]"), c.in("labels", "i32[B]");
  labelledRows(c);
  c.out("count", "f32[1...]");
}

}  // namespace ISA
}  // namespace bayes
