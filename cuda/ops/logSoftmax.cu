// Log-softmax over the last axis: (x - max) - ln sum e^(x - max).
#include "../loops/rows.h"

namespace bayes {
namespace cuda {

struct LogSoftmax {
  const float* x;
  float* y;
  __device__ __forceinline__ void operator()(long row, long c, int lane) const {
    const float* const a = x + row * c;
    const float max = rowMax(a, c, lane), log = logSumBelow(a, max, c, lane);
    for (long i = lane; i < c; i += 32) y[row * c + i] = (a[i] - max) - log;
  }
};
struct LogSoftmaxGrad {  // dy - e^y sum dy
  const float *dy, *y;
  float* dx;
  __device__ __forceinline__ void operator()(long row, long c, int lane) const {
    const float* const g = dy + row * c;
    float total = 0;
    for (long i = lane; i < c; i += 32) total += g[i];
    total = warpSum(total);
    for (long i = lane; i < c; i += 32) dx[row * c + i] = g[i] - expf(y[row * c + i]) * total;
  }
};

OP(logSoftmax, "") { forRows(s.in[0], l, LogSoftmax{s.in[0].f32(), s.out[0].f32()}); }
OP(logSoftmaxGrad, "") { forRows(s.in[1], l, LogSoftmaxGrad{s.in[0].f32(), s.in[1].f32(), s.out[0].f32()}); }

}  // namespace cuda
}  // namespace bayes
