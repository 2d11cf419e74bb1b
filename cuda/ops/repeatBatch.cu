// The whole batch again for each Monte-Carlo sample: [B, ...] -> [S*B, ...], sample-major. The gradient sums the
// samples in order.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct RepeatBatch {
  const float* x;
  float* y;
  long n;
  __device__ __forceinline__ void operator()(long i) const { y[i] = x[i % n]; }
};
struct RepeatBatchGrad {
  const float* dy;
  float* dx;
  long n, samples;
  __device__ __forceinline__ void operator()(long i) const {
    float sum = dy[i];
    for (long k = 1; k < samples; k++) sum += dy[k * n + i];
    dx[i] = sum;
  }
};

OP(repeatBatch, "samples") { each(s.out[0].size(), l, RepeatBatch{s.in[0].f32(), s.out[0].f32(), s.in[0].size()}); }
OP(repeatBatchGrad, "samples") {
  const long n = s.out[0].size();
  each(n, l, RepeatBatchGrad{s.in[0].f32(), s.out[0].f32(), n, s.in[0].size() / n});
}

}  // namespace cuda
}  // namespace bayes
