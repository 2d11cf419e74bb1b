// a + b with NumPy broadcasting, or sums of `terms` tensors of one shape from left to right, one after the other.
#include "../loops/broadcast.h"

namespace bayes {
namespace cuda {

struct Add {
  __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

struct AddTerms {
  static constexpr int MOST = 64;
  int count;
  const float* terms[MOST];
  float* y;
  __device__ __forceinline__ void operator()(long i) const {
    float total = terms[0][i];
    for (int t = 1; t < count; t++) total += terms[t][i];
    y[i] = total;
  }
};

OP(add, "terms") {
  const int terms = static_cast<int>(s.attr("terms", 2));
  if (terms == 2) return broadcastBinary(s, l, Add());
  for (int group = 0; group < s.nout; group++) {
    const Tensor *const in = s.in + group * terms, &out = s.out[group];
    for (int done = 0; done < terms;) {  // where there are too many for one launch, the next begins with their sum
      AddTerms sum{};
      sum.y = out.f32();
      if (done) sum.terms[sum.count++] = sum.y;
      while (done < terms && sum.count < AddTerms::MOST) sum.terms[sum.count++] = in[done++].f32();
      each(out.size(), l, sum);
    }
  }
}

}  // namespace cuda
}  // namespace bayes
