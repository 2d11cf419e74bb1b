// Winograd's product with the images in the lanes (lanes.h): transforms and products work on whole vectors however few
// the channels are, where vectors of channels (../winograd/product.h) would leave lanes idle. Plan, patches and order
// of operations are those of WinogradProduct, and so are the bits: which of the two runs may depend on the batch.
// Serves what ../winograd/plan.h does. Bound by transforms and products about equally.
#pragma once
#include "lanes.h"
#include "../winograd/patches.h"

namespace bayes {
namespace ISA {

struct WinogradLanes : WinogradPlan {
  Encoding encoding;
  bool use;       // for the first route
  long tall;      // rows of a patch
  float* packed;  // [point][ci][co]

  WinogradLanes(const Geometry& g, const WinogradPlan& plan, bool used)
      : WinogradPlan(plan), encoding(g.encoding), use(used), tall(used ? plan.vertical.by->m : 1) {}
  void takeWeights(Bump& b) {
    if (use) packed = b.floats(points * ci * co + W);
  }
  INL long spareSize() const { return use ? points * (ci + LANE_ROWS) * LANES : 0; }

  // Weights [kh][kw][c][k] -> [point][c][k]
  void pack(const float* w) const {
    alignas(64) float a[MOST_POINTS * W];
    for (long i = 0; i < ci; i++)
      for (long k = 0; k < co; k += W) {
        pointsOf(w, i, k, encoding, a, W, horizontal.by->n * W);
        for (long p = 0; p < points; p++) storen(packed + (p * ci + i) * co + k, load(a + p * W), co - k);
      }
  }

  // One row of patches, of which output row o is the first one -> to [row][column][co][LANES], `height` rows at most.
  // X [row][column][ci][LANES] has the image's rows [h0, h1).
  void rows(const float* X, long h0, long h1, long o, long height, float* to, float* spare) const {
    const long nv = vertical.by->n, nh = horizontal.by->n, wide = horizontal.by->m;
    const long top = o - vertical.pad;
    float *patch = spare, *products = spare + points * ci * LANES;
    for (long q = 0; q < horizontal.out; q += wide) {
      for (long c = 0; c < ci * LANES; c += W)
        transform(X + c, top - h0, h1 - h0, q - horizontal.pad, patch + c, nv, nh);
      const long blocks = ceilDiv(co, LANE_ROWS);
      for (long t = 0; t < blocks; t++) {
        const long k0 = co * t / blocks, k = co * (t + 1) / blocks - k0;
        const Run whole{0, 0};
        withRows(k, [&](auto P) {
          lanePixels<P.value>(packed + k0, co, patch, ci, {&whole, 1, ci}, points, products, k, ci * co);
        });
        for (long c = 0; c < k * LANES; c += W)
          fromPoints(vertical, horizontal, products + c, k * LANES, to + (q * co + k0) * LANES + c, co * LANES, height,
                     horizontal.out - q);
      }
    }
  }

 private:
  // A vector's window of the panel, which starts at row `top` and column `left` of it -> its points, ci * LANES apart.
  void transform(const float* X, long top, long height, long left, float* to, long nv, long nh) const {
    alignas(64) float a[MOST_POINTS * W], b[MOST_POINTS * W];
    const long column = ci * LANES, line = horizontal.in * column;
    if (top >= 0 && left >= 0 && top + nv <= height && left + nh <= horizontal.in)
      vertical.by->input(X + top * line + left * column, line, column, b, nh * W, W, nh);
    else {
      const Span down = inside(top, nv, height), along = inside(left, nh, horizontal.in);
      for (long i = 0; i < nv * nh; i++) store(a + i * W, vf{});
      for (long i = down.from; i < down.to; i++)
        for (long j = along.from; j < along.to; j++)
          store(a + (i * nh + j) * W, load(X + (top + i) * line + (left + j) * column));
      vertical.by->input(a, nh * W, W, b, nh * W, W, nh);
    }
    horizontal.by->input(b, W, nh * W, to, column, nh * column, nv);
  }
};

}  // namespace ISA
}  // namespace bayes
