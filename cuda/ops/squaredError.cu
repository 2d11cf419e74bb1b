// (prediction - target)^2 per element.
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct SquaredError {
  __device__ __forceinline__ float operator()(float y, float t) const { return (y - t) * (y - t); }
};
struct SquaredErrorGrad {
  const float *dloss, *y, *t;
  float* out;
  __device__ __forceinline__ void operator()(long i) const {
    const float e = y[i] - t[i];
    out[i] = (e + e) * dloss[i];
  }
};

OP(squaredError, "") { binary(s, l, SquaredError()); }
OP(squaredErrorGrad, "") {
  each(s.out[0].size(), l, SquaredErrorGrad{s.in[0].f32(), s.in[1].f32(), s.in[2].f32(), s.out[0].f32()});
}

}  // namespace cuda
}  // namespace bayes
