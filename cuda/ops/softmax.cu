// Softmax over the last axis.
#include "../loops/rows.h"

namespace bayes {
namespace cuda {

struct Softmax {
  const float* x;
  float* y;
  __device__ __forceinline__ void operator()(long row, long c, int lane) const {
    const float* const a = x + row * c;
    const float max = rowMax(a, c, lane);
    float* const b = y + row * c;
    float total = 0;
    for (long i = lane; i < c; i += 32) total += expf(a[i] - max);
    total = warpSum(total);
    for (long i = lane; i < c; i += 32) b[i] = expf(a[i] - max) / total;
  }
};
struct SoftmaxGrad {  // y (dy - sum dy y)
  const float *dy, *y;
  float* dx;
  __device__ __forceinline__ void operator()(long row, long c, int lane) const {
    const float *g = dy + row * c, *p = y + row * c;
    float mean = 0;
    for (long i = lane; i < c; i += 32) mean += g[i] * p[i];
    mean = warpSum(mean);
    for (long i = lane; i < c; i += 32) dx[row * c + i] = p[i] * (g[i] - mean);
  }
};

OP(softmax, "") { forRows(s.in[0], l, Softmax{s.in[0].f32(), s.out[0].f32()}); }
OP(softmaxGrad, "") { forRows(s.in[1], l, SoftmaxGrad{s.in[0].f32(), s.in[1].f32(), s.out[0].f32()}); }

}  // namespace cuda
}  // namespace bayes
