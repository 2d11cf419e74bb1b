// Winograd's product, of forward pass and data gradient, for the tasks of another form: rows or image panels hand over
// rows of their images and go on with what comes back.
#pragma once
#include "patches.h"
#include "../parts/registerTile.h"
#include "../../cpu/scratch.h"

namespace bayes {
namespace ISA {

struct WinogradProduct : WinogradPlan {
  static constexpr long BUDGET = 32768;  // floats of the transformed patches at work
  Encoding encoding;
  long routes;  // that it takes from another form: none, the first, or both
  long most, ldx, stepX, stepOut, weightSize;
  float* packed;  // [route][block][point][ci][width]
  float* local;   // [thread]: patches [point][patch][ldx], products [point][patch][2W]
  WinogradProduct(const Geometry& g, const WinogradPlan& plan, long routeCount)
      : WinogradPlan(plan), encoding(g.encoding), routes(routeCount) {
    if (!routes) return;
    ldx = panelStride(ci);
    most = minl(maxl(BUDGET / (points * ldx) / TALL2, 2), 16) * TALL2;
    stepX = pointStride(most * ldx), stepOut = pointStride(most * 2 * W);
    weightSize = points * ci * padded(co);
  }
  INL long lowest() const { return routes ? vertical.by->m : 1; }  // of an output's rows, tasks take multiples
  void takeWeights(Bump& b) {
    if (routes) packed = b.floats(routes * weightSize);
  }
  void take(Bump& b) {
    if (routes) local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return points * (stepX + stepOut); }

  void pack(const float* w1, const float* w2) const {
    for (long r = 0; r < routes; r++) packRoute(r ? w2 : w1, packed + r * weightSize);
  }

  // Column blocks [b0, b1) of the output rows [o0, o1) of m images -> out [image][row][column][ld]. o0 is a multiple of
  // a patch's rows. x holds `lines` of the input rows, and the images are those from n0 on.
  void rows(const Operands& x, long route, Encoding as, long n0, long m, Span lines, long o0, long o1, long b0, long b1,
            float* out, long ld, int thread) const {
    const WinogradAxis band{lines.to - lines.from, o1 - o0, vertical.pad - o0 + lines.from, vertical.by};
    const long mv = vertical.by->m, mh = horizontal.by->m;
    const long down = band.patches(), across = horizontal.patches(), total = m * down * across;
    const PatchTransform transform{x, route > 0, as, band, horizontal, ci, false};
    float *X = local + thread * localSize(), *products = X + points * stepX;
    const long pieces = ceilDiv(total, most);
    for (long piece = 0; piece < pieces; piece++) {
      const long t0 = total * piece / pieces, count = total * (piece + 1) / pieces - t0;
      for (long t = 0; t < count; t++) transform.run(n0 * down * across + t0 + t, X, stepX, t, count, ldx);
      const Run whole{0, 0};
      for (long b = b0; b < b1; b++) {
        const long width = blockWidth(co, b);
        const float* w = packed + route * weightSize + b * 2 * W * points * ci;
        for (long p = 0; p < points; p++)
          multiply<false>(count, X + p * stepX, ldx, w + p * width * ci, ci, {&whole, 1, ci}, width, 0, 1,
                          products + p * stepOut, 2 * W, false);
        for (long t = 0; t < count; t++) {
          const long patch = t0 + t, r0 = patch / across % down * mv, q0 = patch % across * mh;
          float* to = out + ((patch / across / down * (o1 - o0) + r0) * horizontal.out + q0) * ld + b * 2 * W;
          for (long z = 0; z < width; z += W)
            fromPoints(vertical, horizontal, products + t * 2 * W + z, stepOut, to + z, ld, o1 - o0 - r0,
                       horizontal.out - q0);
        }
      }
    }
  }

 private:
  // Weights [kh][kw][c][k] -> [block][point][ci][width]
  void packRoute(const float* w, float* blocks) const {
    const long nh = horizontal.by->n;
    parallelRange(columnBlocks(co) * ci, maxl(1, 1024 / (vertical.by->r * horizontal.by->r)), [&](long from, long to) {
      for (long t = from; t < to; t++) {
        const long b = t / ci, i = t % ci, width = blockWidth(co, b);
        float* d = blocks + b * 2 * W * points * ci + i * width;
        for (long z = 0; z < width; z += W) pointsOf(w, i, b * 2 * W + z, encoding, d + z, width * ci, nh * width * ci);
      }
    });
  }
};

}  // namespace ISA
}  // namespace bayes
