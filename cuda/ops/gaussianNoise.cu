// eps [S * B, ...shape]: the noise that a Bayesian layer draws for itself, as a tensor. A thread has a counter, that is
// four channels of a pixel.
#include "../noise.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

struct GaussianNoise {
  NoiseSource noise;
  float* eps;
  long pixels, channels, quads;
  __device__ __forceinline__ void operator()(long i) const {
    const long quad = i % quads, pixel = i / quads % pixels, q = i / quads / pixels;
    float z[4];
    noise.normalsOf(z, q, static_cast<uint32_t>(pixel * quads + quad));
    float* const to = eps + (q * pixels + pixel) * channels + 4 * quad;
    for (int k = 0; k < 4 && 4 * quad + k < channels; k++) to[k] = z[k];
  }
};

OP(gaussianNoise, "stream samples shape") {
  const Tensor& t = s.out[0];
  const long channels = t.dim(-1), quads = ceilDiv(channels, 4), pixels = t.size() / t.dim(0) / channels;
  each(t.dim(0) * pixels * quads, l, GaussianNoise{NoiseSource(s, 0), t.f32(), pixels, channels, quads});
}

}  // namespace cuda
}  // namespace bayes
