// Convolutions of stride 1 by short correlations (short.h) along both axes: tiles of the image are transformed, then a
// number of plain matrix products, one for every point, do what a product over all taps did, with two to five times
// fewer multiplications; and back. Errors are relative to what else is in a tile, which suits a mean and its gradients
// but never a variance, whose smallest values have to stay positive and exact; the gradients through a variance come
// this way only where their operands are rounded to bfloat16 anyhow. Bound by the multiply-adds of the points and, for
// few channels, by the transforms.
#pragma once
#include "../parts/geometry.h"
#include "toomCook.h"

namespace bayes {
namespace ISA {

// How many routes of a gradient are taken: in float32, those through a variance are plain sums.
INL long gradientRoutes(const Geometry& g, long routes) { return inWords(g.form, PAIRS) == ROUNDED ? routes : 1; }

constexpr long MOST_POINTS = 64;  // of a tile

// Tiles along one axis: `m` results each, from `n` inputs of which the first lies `pad` before the tile's results.
struct ShortAxis {
  long in, out, pad;
  const Short* by;
  INL long tiles() const { return ceilDiv(out, by->m); }
};
// Where a plain product multiplies: the taps of all outputs that fall on the input.
INL long tapsInside(long in, long out, long taps, long pad) {
  long count = 0;
  for (long o = 0; o < out; o++)
    for (long i = 0; i < taps; i++) count += o - pad + i >= 0 && o - pad + i < in;
  return count;
}
// Vectors of different points lie an odd number of cache lines apart, or they would share a set.
INL long pointStride(long n) { return (ceilDiv(n, 16) | 1) * 16; }

// The geometry of both axes, and whether it pays: by multiply-adds and transforms of one image, a function of the
// layer's shape alone, so that a convolution's results do not depend on the batch.
struct ShortPlan {
  ShortAxis vertical, horizontal;
  long ci, co, points = 0, routes = 0;  // routes: how many it takes from another form, the first or both
  bool use, transposed;
  // `inLanes`: by shortLanes.h, if there are enough images.
  ShortPlan(const Geometry& g, bool backwards, long routesIfUsed, bool inLanes) : transposed(backwards) {
    ci = transposed ? g.k : g.c, co = transposed ? g.c : g.k;
    vertical = {transposed ? g.ho : g.h, transposed ? g.h : g.ho, transposed ? g.kh - 1 - g.top : g.top, nullptr};
    horizontal = {transposed ? g.wo : g.w, transposed ? g.w : g.wo, transposed ? g.kw - 1 - g.left : g.left, nullptr};
    vertical.by = shortFor(g.kh, vertical.out), horizontal.by = shortFor(g.kw, horizontal.out);
    use = vertical.by && horizontal.by && g.groups == 1 && g.sh == 1 && g.sw == 1 && g.dh == 1 && g.dw == 1 &&
          ci >= 5 && co > (inLanes ? 4 : NARROW) && g.depth <= 4096;
    if (!use) return;
    points = vertical.by->n * horizontal.by->n;
    const double taps = static_cast<double>(tapsInside(vertical.in, vertical.out, g.kh, vertical.pad)) *
                        tapsInside(horizontal.in, horizontal.out, g.kw, horizontal.pad);
    const double all = static_cast<double>(vertical.tiles() * horizontal.tiles() * points);
    // transforms and multiply-adds in multiply-adds of a vector of 8, as measured with AVX2
    const double vectors = 20.0 * (ceilDiv(ci, 8) + 0.6 * ceilDiv(co, 8));
    use = co > NARROW && all * (1.15 * ci * co / 8 + vectors) < 0.8 * taps * ci * co / 8;
    // the same with whole vectors of images
    const double transforms = all * (8.0 * ci + 4.5 * co);
    if (inLanes && co <= LANE_WIDTH) use |= 1.25 * all * ci * co + transforms < 0.8 * taps * ci * co;
    if (use) routes = routesIfUsed;
  }
  // The points of channel i to a vector of channels from o on, of w [kh][kw][c][k]: `across` and `down` floats apart. A
  // gradient reads the taps backwards.
  void pointsOf(const float* w, long i, long o, Form form, float* to, long across, long down) const {
    const long kh = vertical.by->r, kw = horizontal.by->r;
    alignas(64) float a[MOST_POINTS * W], b[MOST_POINTS * W];
    for (long tap = 0; tap < kh * kw; tap++) {
      vf v;
      if (!transposed) v = o < co ? loadn(w + (tap * ci + i) * co + o, co - o) : vf{};
      else
        for (long l = 0; l < W; l++) v[l] = o + l < co ? w[((kh * kw - 1 - tap) * co + o + l) * ci + i] : 0;
      store(a + tap * W, form == FLOAT ? v : bf16(v));
    }
    vertical.by->weights(a, kw * W, W, b, kw * W, W, kw);
    horizontal.by->weights(b, W, kw * W, to, across, down, vertical.by->n);
  }
};

}  // namespace ISA
}  // namespace bayes
