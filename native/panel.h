// Geometry of a convolution, and panels: the operands of the products of conv.h, laid out just in time for a block of
// pixels so that the register kernel reads them from the L1 or L2 cache. Two forms: rows of the image with their zeros
// (RowPanel), and im2col (gather) for dilation, groups and small images. The second operand of a Bayesian layer (x^2,
// or g r) is made in the same pass. Bound by the copies, one or two stores per vector: a few per cent of the product.
#pragma once
#include "gemm.h"
#include "pair.h"
#include "window.h"

namespace bayes {
namespace ISA {

constexpr long NARROW = 12;      // most results a pixel of a narrow gradient, whose images lie in the lanes (lanes.h),
constexpr long LANE_WIDTH = 16;  // and of a forward pass, or a gradient whose first route takes few multiplications

// image [n, h, w, c] <-> map [n, ho, wo, k], weights [kh, kw, cg = c / groups, k]. For a transposed convolution the
// image is its output.
struct Geometry {
  long n, h, w, c, ho, wo, k, kh, kw, sh, sw, top, left, dh, dw, groups, cg, kg;
  long depth;   // taps of one group: kh * kw * cg
  long pixels;  // of the map: n * ho * wo
  Form form;    // of both operands of a product
  Tiles tiles;  // the max pooling behind the layer, if there is one: then the map is no tensor of the program
  INL Geometry(const Step& s, const Tensor& image, const Tensor& weights, const Tensor& map) {
    if (weights.rank == 2) {
      n = image.dims[0], c = image.dims[1], k = map.dims[1];
      h = w = ho = wo = kh = kw = sh = sw = dh = dw = groups = 1, top = left = 0;
    } else {
      n = image.dims[0], h = image.dims[1], w = image.dims[2], c = image.dims[3];
      ho = map.dims[1], wo = map.dims[2], k = map.dims[3], kh = weights.dims[0], kw = weights.dims[1];
      auto pair = [&](const char* name, int i) { return static_cast<long>(s.attr(name, 1, i)); };
      sh = pair("stride", 0), sw = pair("stride", 1), dh = pair("dilation", 0), dw = pair("dilation", 1);
      top = static_cast<long>(s.attr("padding", 0, 0)), left = static_cast<long>(s.attr("padding", 0, 1));
      groups = pair("groups", 0);
    }
    if (s.find("pool")) {
      const auto along = [&](long size, int axis, long taps, long dilation, long stride) {
        const long pads = static_cast<long>(s.attr("padding", 0, axis) + s.attr("padding", 0, axis + 2));
        return (size + pads - dilation * (taps - 1) - 1) / stride + 1;
      };
      ho = along(h, 0, kh, dh, sh), wo = along(w, 1, kw, dw, sw);
      tiles = Tiles(static_cast<long>(s.attr("pool", 1, 0)), static_cast<long>(s.attr("pool", 1, 1)), ho, wo, k);
    }
    n = minl(n, map.dims[0]);  // an output may hold several samples of the batch
    cg = c / groups, kg = k / groups, depth = kh * kw * cg, pixels = n * ho * wo;
    form = s.attr("bf16") ? ROUNDED : FLOAT;
  }
  INL long imageSize() const { return h * w * c; }
};

// The floats of the image under the taps [k0, k1) of one output pixel, as runs that lie together in both: a kernel row
// where nothing separates its columns, else a tap. f(tap0, image offset from the image's start, n); outside the image
// the offset is -1.
template <class F>
INL void forRuns(const Geometry& g, long oh, long ow, long group, long k0, long k1, F f) {
  const long h0 = oh * g.sh - g.top, w0 = ow * g.sw - g.left;
  if (g.dw == 1 && g.groups == 1) {
    const long run = g.kw * g.cg;
    const long from = maxl(0, minl(-w0, g.kw)) * g.cg, to = maxl(0, minl(g.w - w0, g.kw)) * g.cg;  // inside the image
    for (long i = k0 / run; i * run < k1; i++) {
      const long lo = maxl(k0 - i * run, 0), hi = minl(k1 - i * run, run), ih = h0 + i * g.dh;
      if (ih < 0 || ih >= g.h || from >= to) {
        f(i * run + lo, -1L, hi - lo);
        continue;
      }
      const long a = minl(maxl(lo, from), hi), b = maxl(minl(hi, to), a);
      if (a > lo) f(i * run + lo, -1L, a - lo);
      if (b > a) f(i * run + a, (ih * g.w + w0) * g.c + a, b - a);
      if (hi > b) f(i * run + b, -1L, hi - b);
    }
  } else {
    for (long t = k0 / g.cg; t * g.cg < k1; t++) {
      const long lo = maxl(k0 - t * g.cg, 0), hi = minl(k1 - t * g.cg, g.cg);
      const long ih = h0 + t / g.kw * g.dh, iw = w0 + t % g.kw * g.dw;
      const bool inside = ih >= 0 && ih < g.h && iw >= 0 && iw < g.w;
      f(t * g.cg + lo, inside ? (ih * g.w + iw) * g.c + group * g.cg + lo : -1L, hi - lo);
    }
  }
}

// A walk over the pixels of the map, without a division per pixel.
struct Pixel {
  long n, oh, ow;
  INL Pixel(const Geometry& g, long p) : n(p / (g.ho * g.wo)), oh(p / g.wo % g.ho), ow(p % g.wo) {}
  INL void next(const Geometry& g) {
    if (++ow == g.wo) {
      ow = 0;
      if (++oh == g.ho) oh = 0, n++;
    }
  }
};

// The commonest panel row: all taps of a pixel whose window lies inside the image, a run of V vectors (the last one
// partial) per kernel row. V = 0: any number.
template <int KIND, int V>
INL void copyWindow(const Pair& p, long at, long step, long rows, long run, float* d, float* d2) {
  for (long i = 0; i < rows; i++, at += step, d += run, d2 += run) {
    if (V == 0) copyRun<KIND>(p, at, d, d2, run);
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) copyRun<KIND>(p, at + v * W, d + v * W, d2 + v * W, v < V - 1 ? W : run - v * W);
  }
}

// im2col: pixels [p0, p0 + count), taps [k0, k1) of a group -> X, X2 [count][stride].
template <int KIND>
static void gatherKind(const Geometry& g, const Pair& src, long group, long p0, long count, long k0, long k1, float* X,
                       float* X2, long stride) {
  Pixel at(g, p0);
  const bool whole = k0 == 0 && k1 == g.depth && g.dw == 1 && g.groups == 1;
  const long run = g.kw * g.cg, vectors = ceilDiv(run, W), step = g.dh * g.w * g.c;
  const long lastH = g.h - g.dh * (g.kh - 1), lastW = g.w - g.kw + 1;  // a window that starts before lies inside
  for (long p = 0; p < count; p++, at.next(g)) {
    const long image = at.n * g.imageSize(), h0 = at.oh * g.sh - g.top, w0 = at.ow * g.sw - g.left;
    float *d = X + p * stride, *d2 = X2 + p * stride;
    if (whole && h0 >= 0 && h0 < lastH && w0 >= 0 && w0 < lastW) {
      const long from = image + (h0 * g.w + w0) * g.c;
      if (vectors == 1) copyWindow<KIND, 1>(src, from, step, g.kh, run, d, d2);
      else if (vectors == 2) copyWindow<KIND, 2>(src, from, step, g.kh, run, d, d2);
      else if (vectors == 4) copyWindow<KIND, 4>(src, from, step, g.kh, run, d, d2);
      else copyWindow<KIND, 0>(src, from, step, g.kh, run, d, d2);
      continue;
    }
    d -= k0, d2 -= k0;
    forRuns(g, at.oh, at.ow, group, k0, k1, [&](long k, long offset, long n) {
      if (offset < 0) zeroRun<KIND>(d + k, d2 + k, n);
      else copyRun<KIND>(src, image + offset, d + k, d2 + k, n);
    });
  }
}
static inline void gather(const Geometry& g, const Pair& src, long group, long p0, long count, long k0, long k1,
                          float* X, float* X2, long stride) {
  withKind(src, g.form, [&](auto K) { gatherKind<K.value>(g, src, group, p0, count, k0, k1, X, X2, stride); });
}
// Rows of the map: pixels [p0, p0 + count), channels of a group -> X, X2 [count][stride].
template <int KIND>
static void mapRowsKind(const Geometry& g, const Pair& src, long group, long p0, long count, float* X, float* X2,
                        long stride) {
  for (long p = 0; p < count; p++)
    copyRun<KIND>(src, (p0 + p) * g.k + group * g.kg, X + p * stride, X2 + p * stride, g.kg);
}
static inline void mapRows(const Geometry& g, const Pair& src, long group, long p0, long count, float* X, float* X2,
                           long stride) {
  withKind(src, g.form, [&](auto K) { mapRowsKind<K.value>(g, src, group, p0, count, X, X2, stride); });
}

// The same rows as packed column blocks b0 .. b1 of [block][count][width] (gemm.h), the form the weight gradient
// multiplies with.
template <int KIND>
static void packMapKind(const Geometry& g, const Pair& src, long group, long p0, long count, long b0, long b1, float* d,
                        float* d2) {
  d += b0 * 2 * W * count, d2 += b0 * 2 * W * count;
  for (long b = b0; b < b1; b++) {
    const long width = blockWidth(g.kg, b), n = minl(width, g.kg - b * 2 * W);
    const long at = p0 * g.k + group * g.kg + b * 2 * W;
    for (long p = 0; p < count; p++, d += width, d2 += width) copyRun<KIND>(src, at + p * g.k, d, d2, n);
  }
}
static inline void packMap(const Geometry& g, const Pair& src, long group, long p0, long count, long b0, long b1,
                           float* d, float* d2) {
  withKind(src, g.form, [&](auto K) { packMapKind<K.value>(g, src, group, p0, count, b0, b1, d, d2); });
}

// Where it can, a product reads a panel of image rows with the zeros beside them in place of im2col: the taps of a
// kernel row are one run of kw * c steps in it for every output pixel, so each pixel is copied (and squared) once, not
// once per tap.
struct RowPanel {
  static constexpr long MOST_ROWS = 64, MOST_LINES = 64;  // of the kernel, and of outputs: wo >= 4
  bool use;
  long run, width, rows;  // steps of a kernel row; floats of a panel row; output rows of a panel
  explicit RowPanel(const Geometry& g) {
    run = g.kw * g.cg, width = ((g.wo - 1) * g.sw + g.kw) * g.c;
    const long reach = g.dh * (g.kh - 1) + 1;
    rows = minl(256 / g.wo, 32768 / ((g.k + 2 * W) * g.wo));          // outputs of 128 KiB a route
    rows = minl(rows, (32768 / width - reach) / g.sh + 1);            // panels of 128 KiB a route
    rows = maxl(1, minl(minl(g.ho, rows), ceilDiv(g.n * g.ho, 16)));  // and tasks for every thread
    rows = ceilDiv(g.ho, ceilDiv(g.ho, rows));
    use = g.dw == 1 && g.groups == 1 && g.kh <= MOST_ROWS && g.wo >= 4 && g.ho * g.wo >= 24 && size(g) <= (1 << 17) &&
          g.depth <= 4096;
  }
  // The kernel rows of output row oh that fall on the image, relative to its first line in the panel.
  INL long runs(const Geometry& g, long oh, Run* at) const {
    long count = 0;
    for (long i = 0; i < g.kh; i++) {
      const long h = oh * g.sh - g.top + i * g.dh;
      if (h >= 0 && h < g.h) at[count++] = {static_cast<int32_t>(i * g.dh * width), static_cast<int32_t>(i * run)};
    }
    return count;
  }
  INL long perImage(const Geometry& g) const { return ceilDiv(g.ho, rows); }
  INL long size(const Geometry& g) const { return ((rows - 1) * g.sh + g.dh * (g.kh - 1) + 1) * width + W; }
  template <int KIND>
  void fillKind(const Geometry& g, const Pair& src, long n, long h, long lines, float* d, float* d2) const {
    const long before = minl(g.left * g.c, width);
    const long inside = minl(g.w * g.c, width - before), after = width - before - inside;
    for (long i = 0; i < lines; i++, h++, d += width, d2 += width) {
      if (h < 0 || h >= g.h) continue;  // no run reads it
      zeroRun<KIND>(d, d2, before);
      copyRun<KIND>(src, (n * g.h + h) * g.w * g.c, d + before, d2 + before, inside);
      zeroRun<KIND>(d + before + inside, d2 + before + inside, after);
    }
  }
  // The image rows under the kernel rows [i0, i1) of output rows oh .. oh + count.
  void fill(const Geometry& g, const Pair& src, long n, long oh, long count, long i0, long i1, float* d,
            float* d2) const {
    const long h = oh * g.sh - g.top + i0 * g.dh, lines = (count - 1) * g.sh + g.dh * (i1 - i0 - 1) + 1;
    withKind(src, g.form, [&](auto K) { fillKind<K.value>(g, src, n, h, lines, d, d2); });
  }
};

// Row stride of a panel: whole cache lines, and never a multiple of 1 KiB (rows of a tile would share a cache set).
INL long panelStride(long n) {
  const long s = ceilDiv(n, 16) * 16;
  return s % 256 ? s : s + 16;
}
INL long roundUp(long a, long b) { return ceilDiv(a, b) * b; }

}  // namespace ISA
}  // namespace bayes
