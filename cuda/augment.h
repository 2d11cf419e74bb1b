// How an image of a batch is varied: what lib/data/augment.ts does, operation by operation, so that a picture is the
// same wherever it is made.
#pragma once
#include "noise.h"

namespace bayes {
namespace cuda {

// Of one image; without gaps, since it goes through shared memory.
struct Variation {
  long dx, dy;
  int32_t flip;
  int32_t resampled;              // by crop or angle: pixel (x, y) of the result shows the point
  double xu, xv, x1, yu, yv, y1;  // (xu u + xv v + x1, yu u + yv v + y1), (u, v) from the centre and before the move
  float brightness, contrast;     // factors
  long cutTop, cutLeft, cut;      // the black square
};

// The rule for all of them.
struct Augment {
  const int32_t *seed, *epoch;  // null: none
  long reach, cut;
  bool flips, crops;
  double crop[6];  // [least, largest] of the share of the area and of the ratio of the sides, logarithms of the latter
  double rotate, brightness, contrast;

  explicit Augment(const Step& s) : seed(nullptr), epoch(nullptr) {
    if (s.attr("varied") != 0) seed = s.in[2].i32(), epoch = s.in[3].i32();
    reach = static_cast<long>(s.attr("augmentShift")), cut = static_cast<long>(s.attr("cutout"));
    flips = s.attr("augmentFlip") != 0;
    const Attr* c = s.find("crop");
    crops = c && c->count == 6;
    for (int i = 0; i < 6; i++) crop[i] = crops ? c->values[i] : 0;
    rotate = s.attr("rotate"), brightness = s.attr("brightness"), contrast = s.attr("contrast");
  }
  __device__ __forceinline__ bool colours() const { return seed && (brightness != 0 || contrast != 0); }

  __device__ __forceinline__ void words(uint32_t (&u)[4], uint32_t block, int32_t example) const {
    u[0] = block, u[1] = static_cast<uint32_t>(example), u[2] = static_cast<uint32_t>(*epoch), u[3] = 65532u << 16;
    gpu::philox4x32(u, static_cast<uint32_t>(seed[0]), static_cast<uint32_t>(seed[1]));
  }
  static __device__ __forceinline__ long below(uint32_t word, long n) {
    return static_cast<long>(static_cast<uint64_t>(word) * static_cast<uint64_t>(n) >> 32);
  }
  static __device__ __forceinline__ double unit(uint32_t word) { return (word + 0.5) / 4294967296.0; }
  static __device__ __forceinline__ double around(uint32_t word, double by) { return 1 + (2 * unit(word) - 1) * by; }

  __device__ void vary(Variation& v, int32_t example, long h, long w) const {
    v.dx = v.dy = v.cutTop = v.cutLeft = v.cut = 0, v.flip = v.resampled = 0, v.brightness = v.contrast = 1;
    v.xu = v.xv = v.x1 = v.yu = v.yv = v.y1 = 0;
    if (!seed) return;
    uint32_t u[4];
    words(u, 0, example);
    v.dx = below(u[0], 2 * reach + 1) - reach, v.dy = below(u[1], 2 * reach + 1) - reach;
    v.flip = flips && u[2] >> 31;
    words(u, 1, example);
    double cos = 1, sin = 0;
    if (rotate != 0) cosSin((2 * unit(u[0]) - 1) * rotate * (3.141592653589793 / 180), cos, sin);
    v.brightness = static_cast<float>(around(u[1], brightness));
    v.contrast = static_cast<float>(around(u[2], contrast));
    if (cut) {
      words(u, 2, example);
      v.cut = cut, v.cutTop = below(u[0], h) - (cut >> 1), v.cutLeft = below(u[1], w) - (cut >> 1);
    }
    long top = 0, left = 0, ch = h, cw = w;
    if (crops) part(example, h, w, top, left, ch, cw);
    v.resampled = crops || rotate != 0;
    const double perX = static_cast<double>(cw) / w, perY = static_cast<double>(ch) / h;
    v.xu = perX * cos, v.xv = -perX * sin, v.yu = perY * sin, v.yv = perY * cos;
    v.x1 = cw / 2.0 + left - 0.5, v.y1 = ch / 2.0 + top - 0.5;
  }

  __device__ void part(int32_t example, long h, long w, long& top, long& left, long& ch, long& cw) const {
    for (uint32_t attempt = 0; attempt < 10; attempt++) {
      uint32_t u[4];
      words(u, 3 + attempt, example);
      const double area = static_cast<double>(h * w) * (crop[0] + (crop[1] - crop[0]) * unit(u[0]));
      const double aspect = exp(crop[4] + (crop[5] - crop[4]) * unit(u[1]));
      cw = static_cast<long>(::sqrt(area * aspect) + 0.5), ch = static_cast<long>(::sqrt(area / aspect) + 0.5);
      if (cw < 1 || ch < 1 || cw > w || ch > h) continue;
      top = below(u[2], h - ch + 1), left = below(u[3], w - cw + 1);
      return;
    }
    const long wide = static_cast<long>(h * crop[3] + 0.5), high = static_cast<long>(w / crop[2] + 0.5);
    cw = wide < 1 ? 1 : wide < w ? wide : w, ch = high < 1 ? 1 : high < h ? high : h;
    top = (h - ch) >> 1, left = (w - cw) >> 1;
  }

  // The series of lib/data/augment.ts.
  static __device__ double exp(double t) {
    const double size = t < 0 ? -t : t;
    double term = 1, sum = 0;
    for (int n = 1; n <= 40; n++) sum += term, term *= size / n;
    return t < 0 ? 1 / sum : sum;
  }
  static __device__ void cosSin(double t, double& cos, double& sin) {
    double term = 1;
    cos = sin = 0;
    for (int n = 1; n <= 32; n += 2) {
      cos += term, term *= t / n;
      sin += term, term *= -t / (n + 1);
    }
  }
};

}  // namespace cuda
}  // namespace bayes
