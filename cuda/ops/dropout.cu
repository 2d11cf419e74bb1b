// Inverted dropout: y = x / (1 - rate) where the element's random word is at least rate * 2^32, else 0. The mask is
// never stored: the gradient draws the same words again and is this very op, applied to dy.
#include "../noise.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct Dropout {
  NoiseSource noise;
  const float* x;
  float* y;
  long pixels, channels, quads;
  uint32_t threshold;
  float scale;
  __device__ __forceinline__ void operator()(long i) const {
    const long quad = i % quads, pixel = i / quads % pixels, q = i / quads / pixels;
    uint32_t u[4];
    noise.words(u, q, static_cast<uint32_t>(pixel * quads + quad));
    const long at = (q * pixels + pixel) * channels + 4 * quad;
    for (int k = 0; k < 4 && 4 * quad + k < channels; k++) y[at + k] = u[k] >= threshold ? x[at + k] * scale : 0.f;
  }
};

OP(dropout, "rate stream") {  // x [q, ..., C], rng, rows -> y
  const double rate = s.attr("rate");
  const Tensor& x = s.in[0];
  const long channels = x.dim(-1), quads = ceilDiv(channels, 4), pixels = x.size() / x.dim(0) / channels;
  each(x.dim(0) * pixels * quads, l,
       Dropout{NoiseSource(s, 1), x.f32(), s.out[0].f32(), pixels, channels, quads,
               static_cast<uint32_t>(rate * 4294967296.0), static_cast<float>(1 / (1 - rate))});
}

}  // namespace cuda
}  // namespace bayes
