// Inverted dropout: y = x / (1 - rate) where the element's random word is at least rate * 2^32, else 0. The words are
// those of the noise contract (noise.h), so the mask is never stored: the gradient draws the same words again and is
// this very op, applied to dy. Bound by Philox, some 30 instructions per vector.
#include "../vector/noise.h"
namespace bayes {
namespace ISA {

// out[0 .. 4 counters): the words of counters first, first + 1, ... Writes up to 2W words beyond.
static void fillWords(float* out, uint32_t first, long counters, const NoiseRow& at) {
  vq lane;
  for (int i = 0; i < NOISE_LANES; i++) lane[i] = i / 2 + (i % 2) * (W / 4);
  const vq m0 = setq(PHILOX_M0), m1 = setq(PHILOX_M1), high = setq(0xffffffff00000000ull);
  for (long i = 0; i < counters; i += NOISE_LANES) {
    vq c0 = setq(static_cast<uint32_t>(first + i)) + lane, c1 = setq(at.row), c2 = setq(at.step), c3 = setq(at.stream);
    uint32_t k0 = at.key0, k1 = at.key1;
    for (int round = 0; round < 10; round++, k0 += PHILOX_W0, k1 += PHILOX_W1) {
      const vq a = mulLow(c0, m0), b = mulLow(c2, m1);
      c0 = (b >> 32) ^ c1 ^ setq(k0), c1 = b, c2 = (a >> 32) ^ c3 ^ setq(k1), c3 = a;
    }
    const vf even = (vf)((c0 & ~high) | (c2 << 32)), odd = (vf)((c1 & ~high) | (c3 << 32));
    store(out + 4 * i, zipLow(even, odd)), store(out + 4 * i + W, zipHigh(even, odd));
  }
}

OP(dropout) {  // x [q, ..., C], rng, rows -> y
  const NoiseSource noise(s, 1);
  const double rate = s.attr("rate");
  const vu threshold = set1u(static_cast<uint32_t>(rate * 4294967296.0));
  const vf scale = set1(static_cast<float>(1 / (1 - rate)));
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  const long n = s.in[0].dim(0), c = s.in[0].dim(-1), pixels = s.in[0].size() / maxl(1, n * c), quads = ceilDiv(c, 4);
  constexpr long PIECE = 256;  // counters held at once
  const long group = maxl(1, PIECE / quads), tasks = ceilDiv(pixels, 4 * group);
  parallel(n * tasks, [&](long task, int) {
    float words[4 * PIECE + 2 * W];
    const long q = task / tasks, first = task % tasks * 4 * group, last = minl(pixels, first + 4 * group);
    const NoiseRow at = noise.at(q);
    auto apply = [&](long offset, const float* word, long count) {
      for (long i = 0; i < count; i += W) {
        const vi keep = (vu)load(word + i) >= threshold;
        storen(y + offset + i, select(keep, loadn(x + offset + i, count - i) * scale, vf{}), count - i);
      }
    };
    for (long p = first; p < last; p += group) {
      const long now = minl(group, last - p);
      for (long k = 0; k < quads; k += PIECE) {  // more than once only where a pixel is a group by itself
        const long wide = minl(PIECE, quads - k), channels = minl(4 * wide, c - 4 * k);
        const long offset = (q * pixels + p) * c + 4 * k;
        fillWords(words, static_cast<uint32_t>(p * quads + k), now * wide, at);
        if (channels == 4 * wide) apply(offset, words, now * channels);
        else
          for (long j = 0; j < now; j++) apply(offset + j * c, words + j * 4 * wide, channels);
      }
    }
  });
}
CONTRACT(dropout) {
  c.number("rate", 0, 0.999999);
  const Tensor& x = c.in("x", "f32[...]");
  noiseInputs(c);
  c.expect(x.rank > 1 && x.dims[0] % c['B'] == 0, "a batch that is a multiple of %ld rows, received %s", c['B'],
           c.typeOf(x));
  c.inPlace(1), c.out("y", "f32[...]");
}

}  // namespace ISA
}  // namespace bayes
