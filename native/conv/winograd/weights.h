// Winograd's weight gradient, and the sum over the map. Patches of many images are transformed, then every
// point is a product of its own that adds them up, so nothing depends on who does what.
#pragma once
#include "patches.h"
#include "../parts/partialSums.h"
#include "../parts/registerTile.h"

namespace bayes {
namespace ISA {

struct WinogradWeights : WinogradPlan {
  static constexpr long BUDGET = 3 << 19;  // floats of the transformed patches: 6 MiB
  static constexpr long LEAST = 128;       // patches whose products are added up before the sums travel to memory
  static constexpr long PIECE = 8;         // patches of a task
  Encoding encoding;
  long routes, n, kp, total, blocks, most, ldx, stepX, stepMap;
  float *X, *map;  // [point][patch][ldx], [point][block][patch][width]
  float* sums;     // [point][ci][kp]
  MapSums bias;
  WinogradWeights(const Geometry& g, const WinogradPlan& plan, long routeCount)
      : WinogradPlan(plan), encoding(g.encoding), routes(routeCount), n(g.n) {
    if (!routes) return;
    kp = padded(co), ldx = panelStride(ci);
    total = n * vertical.patches() * horizontal.patches();
    blocks = ceilDiv(total, maxl(LEAST, BUDGET / (points * (ldx + kp)))), most = ceilDiv(total, blocks);
    stepX = pointStride(most * ldx), stepMap = pointStride(most * kp);
    bias = MapSums(g, FLOAT, routes, 1);
  }
  void take(Bump& b) {
    if (!routes) return;
    X = b.floats(points * stepX), map = b.floats(points * stepMap);
    sums = b.floats(points * ci * kp);
    bias.take(b);
  }
  // Null where nobody reads it.
  void run(const Operands& x, const Operands& g, float* dw1, float* dw2, float* db1, float* db2) const {
    if (!routes) return;
    for (long r = 0; r < routes; r++)
      if ((r ? dw2 : dw1) || (r ? db2 : db1)) runRoute(x, g, r, r ? dw2 : dw1, r ? db2 : db1);
    bias.finish(db1, routes > 1 ? db2 : nullptr);
    for (long r = 0; r < routes; r++)
      for (long c = 0; c < co && (r ? db2 : db1); c++)
        (r ? db2 : db1)[c] /= vertical.by->sumScale * horizontal.by->sumScale;
  }

 private:
  void runRoute(const Operands& x, const Operands& g, long route, float* dw, float* db) const {
    const WinogradAxis rows{vertical.out, vertical.out, 0, vertical.by};
    const WinogradAxis columns{horizontal.out, horizontal.out, 0, horizontal.by};
    const PatchTransform patchX{x, route > 0, encoding, vertical, horizontal, ci, false};
    const PatchTransform patchMap{g, route > 0, encoding, rows, columns, co, true};
    for (long block = 0; block < blocks; block++) {
      const long t0 = total * block / blocks, count = total * (block + 1) / blocks - t0;
      parallelRange(count, PIECE, [&](long from, long to) {
        for (long t = from; t < to; t++) {
          if (dw) patchX.run(t0 + t, X, stepX, t, count, ldx);
          patchMap.run(t0 + t, map, stepMap, t, count, 0);
        }
      });
      const Run whole{0, 0};
      parallel(points, [&](long p, int) {
        const float* G = map + p * stepMap;
        const bool one = p == vertical.by->one * horizontal.by->n + horizontal.by->one;
        for (long b = 0; b < columnBlocks(co) && db && one; b++)
          bias.add(route, 0, 0, b * 2 * W, G + b * 2 * W * count, count, blockWidth(co, b), block == 0);
        if (dw)
          multiply<true>(ci, X + p * stepX, ldx, G, count, {&whole, 1, count}, co, 0, columnBlocks(co),
                         sums + p * ci * kp, kp, block > 0);
      });
    }
    if (dw) finish(dw);
  }

  // Sums of the points -> dw [kh][kw][c][k]
  void finish(float* dw) const {
    const long kh = vertical.by->r, kw = horizontal.by->r, nh = horizontal.by->n;
    parallelRange(ci, maxl(1, 128 / kp), [&](long from, long to) {
      alignas(64) float a[MOST_POINTS * W], y[MOST_POINTS * W];
      for (long i = from; i < to; i++)
        for (long k = 0; k < co; k += W) {
          const float* s = sums + i * kp + k;
          vertical.by->weightsGradient(s, nh * ci * kp, ci * kp, a, nh * W, W, nh);
          horizontal.by->weightsGradient(a, W, nh * W, y, W, kw * W, kh);
          for (long tap = 0; tap < kh * kw; tap++) storen(dw + (tap * ci + i) * co + k, load(y + tap * W), co - k);
        }
    });
  }
};

}  // namespace ISA
}  // namespace bayes
