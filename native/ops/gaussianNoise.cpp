// eps [S * B, ...shape]: the noise that a Bayesian layer draws for itself, as a tensor. Bound by arithmetic (noise.h).
#include "../vector/noise.h"
namespace bayes {
namespace ISA {

OP(gaussianNoise) {
  const NoiseSource noise(s, 0);
  float* eps = s.out[0].f32();
  const Tensor& t = s.out[0];
  const long n = t.dims[0], channels = t.dim(-1), quads = ceilDiv(channels, 4), pixels = t.size() / n / channels;
  constexpr long CHUNK = 1024;                                                            // counters of one task
  const long chunk = quads > CHUNK ? 1 : CHUNK / quads, chunks = ceilDiv(pixels, chunk);  // pixels of one task
  parallel(n * chunks, [=](long task, int) {
    const long q = task / chunks, p0 = task % chunks * chunk, p1 = minl(p0 + chunk, pixels);
    const NoiseRow at = noise.at(q);
    constexpr long PIECE = 256;  // counters held in the buffer at once
    float buffer[4 * PIECE + NOISE_SLACK];
    float* out = eps + (q * pixels + p0) * channels;
    long c = 0;  // channel of the next normal
    for (long i = p0 * quads; i < p1 * quads; i += PIECE) {
      const long counters = minl(PIECE, p1 * quads - i);
      fillNormals(buffer, static_cast<uint32_t>(i), counters, at);
      if (channels % 4 == 0) {
        memcpy(out, buffer, 16 * counters);
        out += 4 * counters;
        continue;
      }
      for (long k = 0; k < counters; k++) {
        const long m = minl(4, channels - c);
        for (long j = 0; j < m; j++) *out++ = buffer[4 * k + j];
        c = c + m == channels ? 0 : c + m;
      }
    }
  });
}
CONTRACT(gaussianNoise) {
  noiseInputs(c);
  c.let('N', c.whole("samples", 1, 65536) * c['B']);
  const Tensor& y = c.out("eps", "f32[N, ..., C]");
  c.shape("shape", y, 1);
}

}  // namespace ISA
}  // namespace bayes
