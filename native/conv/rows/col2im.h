// The data gradient (and the forward pass of a transposed convolution) by columns: the product g . w^T gives the taps
// of each pixel of the map, which the one task that owns an image scatters and adds up (col2im). Serves everything;
// what is left to it is few channels, groups and small batches. Bound by the multiply-adds and by the additions, one
// per tap, together.
#pragma once
#include "../parts/epilogue.h"
#include "im2col.h"
#include "../parts/registerTile.h"

namespace bayes {
namespace ISA {

// Rows of the map: pixels [p0, p0 + count), channels of a group -> X, X2 [count][stride].
template <int KIND>
static void mapRowsKind(const Geometry& g, const Operands& src, long group, long p0, long count, float* X, float* X2,
                        long stride) {
  for (long p = 0; p < count; p++)
    copyRun<KIND>(src, (p0 + p) * g.k + group * g.kg, X + p * stride, X2 + p * stride, g.kg);
}
static inline void mapRows(const Geometry& g, const Operands& src, long group, long p0, long count, float* X, float* X2,
                           long stride) {
  withKind(src, g.encoding, [&](auto K) { mapRowsKind<K.value>(g, src, group, p0, count, X, X2, stride); });
}

INL void addRun(float* d, const float* a, long n, bool roomy) {
  long i = 0;
  for (; i + W <= n; i += W) store(d + i, load(d + i) + load(a + i));
  const long left = n - i;
  if (left == 0) return;
  if (roomy) {  // the vector lies in images of this task: lanes beyond the run add zero
    store(d + i, load(d + i) + firstn(load(a + i), left));  // the buffers have slack
  } else storen(d + i, loadn(d + i, left) + load(a + i), left);
}

struct Col2imProduct {
  const Geometry& g;
  int routes;
  long chunk, ldc, mb, perTask, tasks, ldg, weightSize, mapSize, columnSize, imageSize, spareSize;
  float* packed;  // [route][group][block][kg][width]
  float* local;   // [thread]: of each route map rows [pixel][ldg], columns [pixel][ldc], images; room for the epilogue
  static constexpr long PIECE = 64;  // pixels of one call of the epilogue
  Col2imProduct(const Geometry& geo, int routeCount) : g(geo), routes(routeCount) {
    const long chunks = ceilDiv(g.depth, 768);
    chunk = roundUp(ceilDiv(g.depth, chunks), 2 * W), ldc = panelStride(chunk);
    ldg = panelStride(g.kg);
    mb = minl(maxl(49152 / (routes * ldc), 2 * TALL2), 192);
    perTask = maxl(1, minl(mb / (g.ho * g.wo), ceilDiv(g.n, 8)));  // images
    tasks = ceilDiv(g.n, perTask);
    mb = minl(mb, perTask * g.ho * g.wo);
    weightSize = g.groups * g.kg * padded(g.depth);
    mapSize = mb * ldg + W, columnSize = mb * ldc + W;
    imageSize = perTask * g.imageSize() + W, spareSize = epilogueSpare(g.c);
  }
  void takeWeights(Bump& b) { packed = b.floats(routes * weightSize); }
  void take(Bump& b) { local = b.floats(poolThreads() * localSize()); }
  INL long localSize() const { return roundUp(routes * (mapSize + columnSize + imageSize) + spareSize, 16); }

  void pack(const float* w1, const float* w2) const {
    const long nb = columnBlocks(g.depth);
    parallel(routes * g.groups * nb, [&](long t, int) {
      const long b = t % nb, group = t / nb % g.groups, r = t / nb / g.groups;
      float* d = packed + r * weightSize + group * g.kg * padded(g.depth) + b * 2 * W * g.kg;
      packBlockTransposed(d, (r ? w2 : w1) + group * g.kg, g.kg, g.k, g.depth, b);
      convertBlock(d, g.kg, blockWidth(g.depth, b), g.encoding);
    });
  }

  template <class E>
  void run(const Operands& map, E epilogue) const {
    const long size = g.imageSize(), hw = g.ho * g.wo;
    const bool whole = chunk >= g.depth && g.dw == 1 && g.groups == 1;
    const long run = g.kw * g.cg, runEnd = roundUp(run, W);
    const long lastH = g.h - g.dh * (g.kh - 1), lastW = g.w - g.kw + 1;
    const Run all{0, 0};
    parallel(tasks, [&](long task, int thread) {
      const long n0 = task * perTask, n1 = minl(n0 + perTask, g.n);
      float *G = local + thread * localSize(), *A = G + routes * mapSize, *d = A + routes * columnSize;
      float* spare = d + routes * imageSize;
      memset(d, 0, routes * imageSize * sizeof(float));
      for (long p0 = n0 * hw; p0 < n1 * hw; p0 += mb) {
        const long count = minl(mb, n1 * hw - p0);
        for (long group = 0; group < g.groups; group++) {
          mapRows(g, map, group, p0, count, G, G + (routes - 1) * mapSize, ldg);
          for (long k0 = 0; k0 < g.depth; k0 += chunk) {
            const long k1 = minl(k0 + chunk, g.depth), b0 = k0 / (2 * W), b1 = columnBlocks(k1);
            for (int r = 0; r < routes; r++) {
              float *columns = A + r * columnSize, *image = d + r * imageSize, *end = image + (n1 - n0) * size;
              multiply<false>(count, G + r * mapSize, ldg, packed + r * weightSize + group * g.kg * padded(g.depth),
                              g.kg, {&all, 1, g.kg}, g.depth, b0, b1, columns - k0, ldc, false);
              Pixel at(g, p0);
              for (long p = 0; p < count; p++, at.next(g)) {
                float* to = image + (at.n - n0) * size;
                const float* a = columns + p * ldc;
                const long h0 = at.oh * g.sh - g.top, w0 = at.ow * g.sw - g.left;
                if (whole && h0 >= 0 && h0 < lastH && w0 >= 0 && w0 < lastW) {
                  float* o = to + (h0 * g.w + w0) * g.c;
                  for (long i = 0; i < g.kh; i++, o += g.dh * g.w * g.c, a += run) addRun(o, a, run, o + runEnd <= end);
                  continue;
                }
                forRuns(g, at.oh, at.ow, group, k0, k1, [&](long k, long offset, long n) {
                  if (offset >= 0) addRun(to + offset, a + k - k0, n, to + offset + roundUp(n, W) <= end);
                });
              }
            }
          }
        }
      }
      const long first = n0 * g.h * g.w, last = n1 * g.h * g.w;
      for (long p = first; p < last; p += PIECE)
        epilogue(p, minl(PIECE, last - p), 0, g.c, d + (p - first) * g.c,
                 d + (routes - 1) * imageSize + (p - first) * g.c, g.c, spare);
    });
  }
};

}  // namespace ISA
}  // namespace bayes
