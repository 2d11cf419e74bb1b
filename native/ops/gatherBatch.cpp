// The images of one step, from the resident data set: chosen by index, varied (the rule is augmentParams in
// lib/data/prepare.ts), padded with zeros, and normalized: x = pixel * scale[c] + shift[c]. Bound by bandwidth: one
// byte read and four written per value. Numbers per channel are laid out along a run of pixels, so that lanes do not
// care about channels.
#include <stdio.h>
#include "../bytes.h"
#include "../shared/philox.h"
namespace bayes {
namespace ISA {

INL vf loadPixels(const uint8_t* p, long n) { return toFloat(loadBytes(p, n)); }
INL vf loadPixels(const float* p, long n) { return loadn(p, n); }

INL long tableSize(long c) { return ceilDiv(1024, c * W) * c * W; }  // whole pixels and whole vectors

struct Gather {
  long h, w, c, pad, size;     // image, and the length of the tables
  const float *scale, *shift;  // per channel, repeated along the tables

  INL void black(float* out, long pixels) const {
    for (long i = 0; i < pixels * c; i += size) memcpy(out + i, shift, minl(size, pixels * c - i) * sizeof(float));
  }
  template <class T>
  INL void convert(float* out, const T* in, long pixels) const {
    for (long i = 0, n = pixels * c; i < n; i += size)
      for (long j = 0, m = minl(size, n - i); j < m; j += W)
        storen(out + i + j, loadPixels(in + i + j, m - j) * load(scale + j) + load(shift + j), m - j);
  }
  template <class T>
  INL void mirror(float* out, const T* in, long pixels) const {
    for (long i = 0; i < pixels; i++)
      for (long k = 0; k < c; k++)
        out[i * c + k] = static_cast<float>(in[(pixels - 1 - i) * c + k]) * scale[k] + shift[k];
  }
};

struct Variation {
  long dx, dy;
  bool flip;
};

template <class T>
INL void gather(const Step& s, const Gather& g) {
  const T* data = static_cast<const T*>(s.in[0].data);
  const int32_t* index = s.in[1].i32();
  float* out = s.out[0].f32();
  const long reach = static_cast<long>(s.attr("augmentShift"));
  const bool flips = s.attr("augmentFlip") != 0, varied = reach || flips;
  const int32_t *rng = varied ? s.in[2].i32() : nullptr, *epoch = varied ? s.in[3].i32() : nullptr;
  auto variation = [&](int32_t example) -> Variation {
    if (!varied) return {0, 0, false};
    uint32_t u[4] = {0, static_cast<uint32_t>(example), static_cast<uint32_t>(epoch[0]), 65532u << 16};
    philox4x32(u, static_cast<uint32_t>(rng[0]), static_cast<uint32_t>(rng[1]));
    auto below = [](uint32_t word, long n) { return static_cast<long>(static_cast<uint64_t>(word) * n >> 32); };
    return {below(u[0], 2 * reach + 1) - reach, below(u[1], 2 * reach + 1) - reach, flips && u[2] >> 31};
  };
  // an image that only has to be converted is one row
  const long h = varied || g.pad ? g.h : 1, w = varied || g.pad ? g.w : g.h * g.w;
  const long oh = h + 2 * g.pad, ow = w + 2 * g.pad;
  parallelRange(s.in[1].size() * oh, maxl(1, 16384 / (ow * g.c)), [&](long from, long to) {
    long image = -1;
    Variation v{};
    for (long r = from; r < to; r++) {
      if (r / oh != image) image = r / oh, v = variation(index[image]);
      float* row = out + r * ow * g.c;
      const long y = r % oh - g.pad, source = y - v.dy;
      if (y < 0 || y >= h || source < 0 || source >= h) {
        g.black(row, ow);
        continue;
      }
      const T* in = data + (static_cast<long>(index[image]) * h + source) * w * g.c;
      // columns [a, b) show the image before it is mirrored
      const long a = minl(w, maxl(0, v.dx)), b = maxl(a, minl(w, w + v.dx)), left = v.flip ? w - b : a;
      g.black(row, g.pad + left);
      float* middle = row + (g.pad + left) * g.c;
      if (v.flip) g.mirror(middle, in + (a - v.dx) * g.c, b - a);
      else g.convert(middle, in + (a - v.dx) * g.c, b - a);
      g.black(middle + (b - a) * g.c, ow - g.pad - left - (b - a));
    }
  });
}

OP(gatherBatch) {  // data u8 | f32 [N,H,W,C], index i32[B] (, rng i32[4], epoch i32[1]) -> x [B, H + 2 pad, W + 2 pad,
                   // C]
  const Tensor& data = s.in[0];
  for (long i = 0; i < s.in[1].size(); i++) {
    const long at = s.in[1].i32()[i];
    if (at >= 0 && at < data.dim(0)) continue;
    char why[120];
    snprintf(why, sizeof why, "example %ld is outside the data set of %ld examples", at, data.dim(0));
    failStep(s, why);
  }
  const long c = data.dim(3), size = tableSize(c);
  float *scale = static_cast<float*>(s.scratch), *shift = scale + size;
  for (long i = 0; i < size; i++) {
    scale[i] = static_cast<float>(s.attr("scale", 1, static_cast<int>(i % c)));
    shift[i] = static_cast<float>(s.attr("shift", 0, static_cast<int>(i % c)));
  }
  const Gather g{data.dim(1), data.dim(2), c, static_cast<long>(s.attr("pad")), size, scale, shift};
  if (data.dtype == BAYES_U8) gather<uint8_t>(s, g);
  else gather<float>(s, g);
}
SCRATCH(gatherBatch) { return 2 * tableSize(s.in[0].dim(3)) * sizeof(float); }

}  // namespace ISA
}  // namespace bayes
