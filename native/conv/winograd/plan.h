// How a convolution of stride 1 is cut into patches of few results along both axes, each by a short correlation
// (toomCook.h): a patch is transformed, then a number of plain matrix products, one for every point, do what a product
// over all taps did, with two to five times fewer multiplications; and back (Winograd 1980; Lavin and Gray 2016).
// Errors are relative to what else is in a patch, which suits a mean and its gradients but no variance (choose.h).
// Serves kernels of 3 and 5 taps along each axis, stride 1, no dilation, one group. Bound by the multiply-adds of the
// points and, for few channels, by the transforms.
#pragma once
#include "../parts/geometry.h"
#include "toomCook.h"

namespace bayes {
namespace ISA {

constexpr long MOST_POINTS = 64;  // of a patch

// Patches along one axis: `m` results each, from `n` inputs of which the first lies `pad` before the patch's results.
struct WinogradAxis {
  long in, out, pad;
  const Correlation* by;
  INL long patches() const { return ceilDiv(out, by->m); }
};
// Vectors of different points lie an odd number of cache lines apart, or they would share a set.
INL long pointStride(long n) { return (ceilDiv(n, 16) | 1) * 16; }

// The geometry of both axes, of a forward pass or (transposed) a data gradient. A function of the layer's shape alone,
// so that a convolution's results do not depend on the batch.
struct WinogradPlan {
  WinogradAxis vertical, horizontal;
  long ci, co, points = 0;
  bool serves, transposed;
  WinogradPlan(const Geometry& g, bool backwards) : transposed(backwards) {
    ci = transposed ? g.k : g.c, co = transposed ? g.c : g.k;
    vertical = {transposed ? g.ho : g.h, transposed ? g.h : g.ho, transposed ? g.kh - 1 - g.top : g.top, nullptr};
    horizontal = {transposed ? g.wo : g.w, transposed ? g.w : g.wo, transposed ? g.kw - 1 - g.left : g.left, nullptr};
    vertical.by = correlationFor(g.kh, vertical.out), horizontal.by = correlationFor(g.kw, horizontal.out);
    serves = vertical.by && horizontal.by && g.groups == 1 && g.sh == 1 && g.sw == 1 && g.dh == 1 && g.dw == 1;
    if (serves) points = vertical.by->n * horizontal.by->n;
  }
  // The points of channel i to a vector of channels from o on, of w [kh][kw][c][k]: `across` and `down` floats apart. A
  // gradient reads the taps backwards.
  void pointsOf(const float* w, long i, long o, Encoding encoding, float* to, long across, long down) const {
    const long taps = vertical.by->r * horizontal.by->r;
    alignas(64) float a[MOST_POINTS * W];
    for (long tap = 0; tap < taps; tap++) {
      vf v;
      if (!transposed) v = o < co ? loadn(w + (tap * ci + i) * co + o, co - o) : vf{};
      else
        for (long l = 0; l < W; l++) v[l] = o + l < co ? w[((taps - 1 - tap) * co + o + l) * ci + i] : 0;
      store(a + tap * W, encoding == FLOAT ? v : bf16(v));
    }
    pointsOfTaps(a, W, to, across, down);
  }
  // The same of a vector of channels whose taps lie `next` floats apart.
  void pointsOfTaps(const float* taps, long next, float* to, long across, long down) const {
    const long kw = horizontal.by->r;
    alignas(64) float b[MOST_POINTS * W];
    vertical.by->weights(taps, kw * next, next, b, kw * W, W, kw);
    horizontal.by->weights(b, W, kw * W, to, across, down, vertical.by->n);
  }
};

}  // namespace ISA
}  // namespace bayes
