// Cross-entropy of softmax(logits) per row, in nats: logits [S*B, C], labels [B], row q has label q mod B.
#include "../loops/rows.h"

namespace bayes {
namespace cuda {

struct Labels {
  const int32_t* labels;
  long batch;
  Fault* fault;
  int step;
  // The label of a row; -1 where it is outside [0, classes), which ends the run.
  __device__ __forceinline__ long of(long row, long classes, int lane) const {
    const int32_t y = labels[row % batch];
    if (y >= 0 && y < classes) return y;
    if (lane == 0) raise(fault, LABEL_OUTSIDE, step);
    return -1;
  }
};
struct CrossEntropy {
  const float* x;
  Labels labels;
  float* loss;
  __device__ __forceinline__ void operator()(long row, long c, int lane) const {
    const float* const a = x + row * c;
    const float max = rowMax(a, c, lane), log = logSumBelow(a, max, c, lane);
    const long y = labels.of(row, c, lane);
    if (lane == 0) loss[row] = y < 0 ? NAN : log - (a[y] - max);
  }
};
struct CrossEntropyGrad {  // (softmax - onehot) dloss
  const float *dloss, *x;
  Labels labels;
  float* dx;
  __device__ __forceinline__ void operator()(long row, long c, int lane) const {
    const float* const a = x + row * c;
    const float max = rowMax(a, c, lane), g = dloss[row];
    const long y = labels.of(row, c, lane);
    float total = 0;
    for (long i = lane; i < c; i += 32) total += expf(a[i] - max);
    const float k = g / warpSum(total);
    for (long i = lane; i < c; i += 32) dx[row * c + i] = expf(a[i] - max) * k - (i == y ? g : 0.f);
  }
};

OP(softmaxCrossEntropy, "") {
  const Labels labels{s.in[1].i32(), s.in[1].size(), l.fault, s.number};
  forRows(s.in[0], l, CrossEntropy{s.in[0].f32(), labels, s.out[0].f32()});
}
OP(softmaxCrossEntropyGrad, "") {  // (dloss, logits, labels)
  const Labels labels{s.in[2].i32(), s.in[2].size(), l.fault, s.number};
  forRows(s.in[1], l, CrossEntropyGrad{s.in[0].f32(), s.in[1].f32(), labels, s.out[0].f32()});
}

}  // namespace cuda
}  // namespace bayes
