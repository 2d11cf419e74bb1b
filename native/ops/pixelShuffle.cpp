// Channels into space and back (ONNX DepthToSpace, mode CRD):
//   shuffled[n, h r + i, w r + j, c] = packed[n, h, w, c r r + i r + j]
// Pure movement of r * r * C floats a pixel, each the other's gradient.
#include "../cpu/op.h"
namespace bayes {
namespace ISA {

template <bool PACK>
INL void shuffle(const Tensor& packed, const Tensor& shuffled, long r) {
  const long h = packed.dim(1), w = packed.dim(2), depth = packed.dim(3), c = shuffled.dim(3);
  float *p = packed.f32(), *q = shuffled.f32();
  parallelRange(packed.dim(0) * h, maxl(1, 16384 / (w * depth)), [=](long from, long to) {
    for (long row = from; row < to; row++)
      for (long i = 0; i < r; i++) {
        float* line = q + (row * r + i) * w * r * c;
        for (long x = 0; x < w; x++) {
          float* pixel = p + (row * w + x) * depth + i * r;
          for (long j = 0; j < r; j++, line += c)
            for (long k = 0; k < c; k++)
              if (PACK) pixel[k * r * r + j] = line[k];
              else line[k] = pixel[k * r * r + j];
        }
      }
  });
}

// The contract: packed [N, H, W, D], sizes that are known, and shuffled [N, P, Q, C].
static inline void shuffled(Contract& c) {
  const long r = c.whole("factor", 1, 1024);
  c.expect(c['D'] % (r * r) == 0, "channels as a multiple of %ldx%ld, received %ld", r, r, c['D']);
  c.let('P', c['H'] * r), c.let('Q', c['W'] * r), c.let('C', c['D'] / (r * r));
}

OP(pixelShuffle) { shuffle<false>(s.in[0], s.out[0], static_cast<long>(s.attr("factor"))); }
CONTRACT(pixelShuffle) {
  c.in("x", "f32[N, H, W, D]"), shuffled(c);
  c.out("y", "f32[N, P, Q, C]");
}
OP(pixelUnshuffle) { shuffle<true>(s.out[0], s.in[0], static_cast<long>(s.attr("factor"))); }
CONTRACT(pixelUnshuffle) {
  c.out("y", "f32[N, H, W, D]"), shuffled(c);
  c.in("x", "f32[N, P, Q, C]");
}

}  // namespace ISA
}  // namespace bayes
