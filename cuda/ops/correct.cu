// How many rows have their largest logit at the label: the lowest index wins a tie, a row with a NaN is wrong.
#include "../loops/sum.h"

namespace bayes {
namespace cuda {

struct Correct {
  const float* x;
  const int32_t* labels;
  long batch, c;
  __device__ __forceinline__ float operator()(long i) const {
    const float* const a = x + i * c;
    long best = 0;
    bool nan = a[0] != a[0];
    for (long k = 1; k < c; k++) {
      if (a[k] > a[best]) best = k;
      nan |= a[k] != a[k];
    }
    return !nan && best == labels[i % batch] ? 1.f : 0.f;
  }
};

OP(correct, "") {
  const long c = s.in[0].dim(-1), rows = s.in[0].size() / c;
  sumOf(s, l, rows, Correct{s.in[0].f32(), s.in[1].i32(), s.in[1].size(), c}, s.out[0].f32());
}
SCRATCH(correct) { return sumScratch(s.in[0].size() / s.in[0].dim(-1)); }

}  // namespace cuda
}  // namespace bayes
