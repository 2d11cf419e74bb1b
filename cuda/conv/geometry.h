// What a convolution is, by its shapes and attributes, and which input a tap reads. A linear layer is a 1x1 convolution
// of 1x1 images; of a transposed layer, the image is the output and the map the input.
#pragma once
#include "cuda/op.h"

namespace bayes {
namespace cuda {

inline int toInt(long a) { return static_cast<int>(a); }

// n / d by a multiplication, for n < 2^31.
struct Divisor {
  uint32_t d = 1, multiplier = 0, shift = 0;
  Divisor() {}
  explicit Divisor(long by) : d(static_cast<uint32_t>(by)) {
    while ((1ull << shift) < d) shift++;
    multiplier = static_cast<uint32_t>((1ull << 32) * ((1ull << shift) - d) / d + 1);
  }
  __device__ __forceinline__ int of(int n) const {
    const uint32_t u = static_cast<uint32_t>(n);
    return static_cast<int>((static_cast<uint32_t>((static_cast<uint64_t>(u) * multiplier) >> 32) + u) >> shift);
  }
};

// One side of an image: tap i of output position o reads (o * scale + offset + i * step) / every, where that is whole.
struct Axis {
  int in, out, scale, offset, step;
  Divisor every;
  __device__ __forceinline__ int start(int o) const { return o * scale + offset; }
  // The input position of tap i, or a number outside [0, in).
  __device__ __forceinline__ int at(int start, int i) const {
    const int p = start + i * step;
    if (every.d == 1 || p < 0) return p;
    const int q = every.of(p);
    return q * static_cast<int>(every.d) == p ? q : -1;
  }
};

// The operand that a product gathers from a tensor [images][height][width][channels]: row = output pixel, depth = tap
// and channel of a group.
struct Gather {
  Axis v, h;
  Divisor area, width, perTap, tapsInRow;  // of output pixels; channels of a group, taps of a kernel row
  int channels, perGroup;                  // of the tensor
  struct Place {
    int first, y, x;  // number of the image's first pixel; where its window starts
  };
  __device__ __forceinline__ Place place(int pixel) const {
    const int image = area.of(pixel), rest = pixel - image * static_cast<int>(area.d), oy = width.of(rest);
    return {image * v.in * h.in, v.start(oy), h.start(rest - oy * static_cast<int>(width.d))};
  }
  struct Tap {
    int i, j, c;
  };
  __device__ __forceinline__ Tap tap(int d) const {
    const int t = perTap.of(d), i = tapsInRow.of(t);
    return {i, t - i * static_cast<int>(tapsInRow.d), d - t * perGroup};
  }
  // The element of a place and a tap, or -1 where there is none (c: with the channels of the groups before).
  __device__ __forceinline__ long at(const Place& p, const Tap& t, int c) const {
    const int y = v.at(p.y, t.i), x = h.at(p.x, t.j);
    const bool inside = y >= 0 && y < v.in && x >= 0 && x < h.in;
    return inside ? static_cast<long>(p.first + y * h.in + x) * channels + c : -1;
  }
};

// image [n, h, w, c] <-> map [n, ho, wo, k], weights [kh, kw, cg = c / groups, k].
struct Geometry {
  long n, h = 1, w = 1, c, ho = 1, wo = 1, k, kh = 1, kw = 1, sh = 1, sw = 1, top = 0, left = 0, dh = 1, dw = 1;
  long groups = 1, cg, kg;
  Geometry() = default;
  Geometry(const Step& s, const Tensor& image, const Tensor& weights, const Tensor& map) {
    n = image.dim(0) < map.dim(0) ? image.dim(0) : map.dim(0);  // an output may hold several samples of the batch
    c = image.dim(-1), k = map.dim(-1);
    if (weights.rank == 4) {
      const auto two = [&](const char* name, int i) { return static_cast<long>(s.attr(name, 1, i)); };
      h = image.dim(1), w = image.dim(2), ho = map.dim(1), wo = map.dim(2), kh = weights.dim(0), kw = weights.dim(1);
      sh = two("stride", 0), sw = two("stride", 1), dh = two("dilation", 0), dw = two("dilation", 1);
      top = static_cast<long>(s.attr("padding", 0, 0)), left = static_cast<long>(s.attr("padding", 0, 1));
      groups = two("groups", 0);
    }
    cg = c / groups, kg = k / groups;
    const double most = 2147483647, sides[] = {1. * n * h * w,
                                               1. * n * ho * wo,
                                               1. * kh * kw * cg,
                                               1. * kh * kw * kg,
                                               1. * h + 2. * top + kh * dh,
                                               1. * w + 2. * left + kw * dw};
    for (double side : sides)
      if (side > most / 2)
        throw std::runtime_error("[" + std::string(s.op) + "] expected at most 2^30 pixels and weights of a filter");
  }
  long pixels() const { return n * ho * wo; }
  long imagePixels() const { return n * h * w; }
  long taps() const { return kh * kw; }
  // What reads the image for every pixel of the map, and the other way round.
  Gather ofImage() const {
    return {{toInt(h), toInt(ho), toInt(sh), toInt(-top), toInt(dh), Divisor()},
            {toInt(w), toInt(wo), toInt(sw), toInt(-left), toInt(dw), Divisor()},
            Divisor(ho * wo),
            Divisor(wo),
            Divisor(cg),
            Divisor(kw),
            toInt(c),
            toInt(cg)};
  }
  Gather ofMap() const {
    return {{toInt(ho), toInt(h), 1, toInt(top), toInt(-dh), Divisor(sh)},
            {toInt(wo), toInt(w), 1, toInt(left), toInt(-dw), Divisor(sw)},
            Divisor(h * w),
            Divisor(w),
            Divisor(kg),
            Divisor(kw),
            toInt(k),
            toInt(kg)};
  }
};

}  // namespace cuda
}  // namespace bayes
