// Channels into space and back: shuffled[n, h r + i, w r + j, c] = packed[n, h, w, c r r + i r + j].
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

// Element i of the shuffled tensor [n, h r, w r, c] and its place in the packed one.
struct Shuffle {
  float *packed, *shuffled;
  long h, w, c, r;
  bool pack;
  __device__ __forceinline__ void operator()(long i) const {
    const long k = i % c, x = i / c % (w * r), row = i / c / (w * r);
    const long from = ((row / r * w + x / r) * c + k) * r * r + row % r * r + x % r;
    if (pack) packed[from] = shuffled[i];
    else shuffled[i] = packed[from];
  }
};

OP(pixelShuffle, "factor") {
  const Tensor &x = s.in[0], &y = s.out[0];
  each(y.size(), l,
       Shuffle{x.f32(), y.f32(), x.dim(1), x.dim(2), y.dim(3), static_cast<long>(s.attr("factor")), false});
}
OP(pixelUnshuffle, "factor") {
  const Tensor &x = s.in[0], &y = s.out[0];
  each(x.size(), l, Shuffle{y.f32(), x.f32(), y.dim(1), y.dim(2), x.dim(3), static_cast<long>(s.attr("factor")), true});
}

}  // namespace cuda
}  // namespace bayes
