// im2col: the taps of some pixels of the map, gathered from the image, a row of a matrix for each pixel. The second
// operand of a Bayesian layer (x^2, or g r) is made in the same pass. Serves everything; what is left to it is
// dilation, groups and small images. Bound by the multiply-adds of the product, the copies being one or two stores per
// vector: a few per cent of it.
#pragma once
#include "../parts/geometry.h"
#include "../parts/operands.h"

namespace bayes {
namespace ISA {

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
INL void copyWindow(const Operands& p, long at, long step, long rows, long run, float* d, float* d2) {
  for (long i = 0; i < rows; i++, at += step, d += run, d2 += run) {
    if (V == 0) copyRun<KIND>(p, at, d, d2, run);
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) copyRun<KIND>(p, at + v * W, d + v * W, d2 + v * W, v < V - 1 ? W : run - v * W);
  }
}

// im2col: pixels [p0, p0 + count), taps [k0, k1) of a group -> X, X2 [count][stride].
template <int KIND>
static void gatherKind(const Geometry& g, const Operands& src, long group, long p0, long count, long k0, long k1,
                       float* X, float* X2, long stride) {
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
static inline void gather(const Geometry& g, const Operands& src, long group, long p0, long count, long k0, long k1,
                          float* X, float* X2, long stride) {
  withKind(src, g.encoding, [&](auto K) { gatherKind<K.value>(g, src, group, p0, count, k0, k1, X, X2, stride); });
}

}  // namespace ISA
}  // namespace bayes
