// Both weight gradients from rows of one image at a time, or (im2col) from some pixels of the map: both operands of a
// block are packed, and multiplied across. Tasks own a chunk of taps and a share of the batch, whose sums are added in
// a fixed order. Serves what rowPanel.h and im2col.h do; what is left to it is few channels, groups and kernels of very
// many taps. Bound by the multiply-adds, and for large weights by the sums on their way to memory.
#pragma once
#include "../parts/partialSums.h"
#include "im2col.h"
#include "rowPanel.h"

namespace bayes {
namespace ISA {

// The same rows as packed column blocks b0 .. b1 of [block][count][width], as the tile reads them (columns.h).
template <int KIND>
static void packMapKind(const Geometry& g, const Operands& src, long group, long p0, long count, long b0, long b1,
                        float* d, float* d2) {
  d += b0 * 2 * W * count, d2 += b0 * 2 * W * count;
  for (long b = b0; b < b1; b++) {
    const long width = blockWidth(g.kg, b), n = minl(width, g.kg - b * 2 * W);
    const long at = p0 * g.k + group * g.kg + b * 2 * W;
    for (long p = 0; p < count; p++, d += width, d2 += width) copyRun<KIND>(src, at + p * g.k, d, d2, n);
  }
}
static inline void packMap(const Geometry& g, const Operands& src, long group, long p0, long count, long b0, long b1,
                           float* d, float* d2) {
  withKind(src, g.encoding, [&](auto K) { packMapKind<K.value>(g, src, group, p0, count, b0, b1, d, d2); });
}

struct RowWeights {
  const Geometry& g;
  const bool rowwise;  // a block is some rows of an image; else im2col
  const RowPanel panel;
  MapSums sums;
  int routes;
  long mb, blocks, splits, chunks, chunk, columnTasks, stride, kp, panelSize, mapSize, partSize;
  float* part;   // [route][split][group][tap][kp]
  float* local;  // [thread]: panels of the image and of the map [block][pixel][width], two each
  RowWeights(const Geometry& geo, bool rowPanels, int routeCount)
      : g(geo), rowwise(rowPanels), panel(geo), routes(routeCount) {
    kp = padded(g.kg), partSize = g.groups * g.depth * kp;
    const long wanted = maxl(1, (1L << 19) / (partSize * routes));  // partial sums of 2 MiB in all
    mb = minl(g.pixels, g.depth < 64 ? 256 : 128);
    if (rowwise) mb = panel.rows * g.wo;
    blocks = rowwise ? g.n * panel.perImage(g) : ceilDiv(g.pixels, mb);
    splits = minl(minl(wanted, 16), blocks);
    // tasks for every thread: chunks of kernel rows, or of taps (whose panels have to fit the L2 cache), and of columns
    const long wish = ceilDiv(g.k < 256 ? 16 : 8, splits * g.groups), least = ceilDiv(g.depth, 384);
    chunk = rowwise ? ceilDiv(g.kh, minl(g.kh, wish)) : ceilDiv(g.depth, maxl(minl(wish, g.depth / 48), least));
    chunks = ceilDiv(rowwise ? g.kh : g.depth, chunk);
    columnTasks = rowwise ? minl(columnBlocks(g.kg), ceilDiv(wish, chunks)) : 1;
    stride = panelStride(chunk), panelSize = rowwise ? panel.size(g) : mb * stride + W, mapSize = mb * kp;
    sums = MapSums(g, g.encoding, routes, splits);
  }
  void take(Bump& b) {
    part = b.floats(routes * splits * partSize);
    sums.take(b);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(2 * panelSize + 2 * mapSize, 16); }

  void run(const Operands& x, const Operands& map, float* dw1, float* dw2, float* db1, float* db2) const {
    const bool direct = splits == 1 && kp == g.kg;  // nothing to add up, nothing to cut off
    const Run whole{0, 0};
    parallel(splits * chunks * columnTasks * g.groups, [&](long task, int thread) {
      const long split = task % splits, part0 = task / splits % chunks * chunk;
      const long c = task / splits / chunks % columnTasks, group = task / splits / chunks / columnTasks;
      const long b0 = columnBlocks(g.kg) * c / columnTasks, b1 = columnBlocks(g.kg) * (c + 1) / columnTasks;
      const long first = blocks * split / splits, last = blocks * (split + 1) / splits;
      float *X = local + thread * localSize(), *X2 = X + panelSize, *G = X2 + panelSize, *G2 = G + mapSize;
      for (long b = first; b < last; b++) {
        const long n = b / panel.perImage(g), oh = b % panel.perImage(g) * panel.rows;
        const long lines = minl(panel.rows, g.ho - oh);
        const long p0 = rowwise ? (n * g.ho + oh) * g.wo : b * mb;
        const long count = rowwise ? lines * g.wo : minl(mb, g.pixels - p0);
        const long part1 = minl(part0 + chunk, rowwise ? g.kh : g.depth);
        if (rowwise) panel.fill(g, x, n, oh, lines, part0, part1, X, X2);
        else gather(g, x, group, p0, count, part0, part1, X, X2, stride);
        packMap(g, map, group, p0, count, b0, b1, G, G2);
        for (int r = 0; r < routes; r++) {
          float *dw = r ? dw2 : dw1, *db = r ? db2 : db1;
          for (long j = b0; j < b1 && db && part0 == 0; j++)
            sums.add(r, split, group, j * 2 * W, (r ? G2 : G) + j * 2 * W * count, count, blockWidth(g.kg, j),
                     b == first);
          if (!dw) continue;
          const long ldo = direct ? g.k : kp;
          float* out = (direct ? dw + group * g.kg : part + (r * splits + split) * partSize + group * g.depth * kp) +
                       part0 * (rowwise ? panel.run : 1) * ldo;
          if (!rowwise)
            multiply<true>(part1 - part0, r ? X2 : X, stride, r ? G2 : G, count, {&whole, 1, count}, g.kg, b0, b1, out,
                           ldo, b > first);
          else
            for (long i = 0; i < part1 - part0; i++) {
              Run at[RowPanel::MOST_LINES];
              long count1 = 0;
              for (long q = 0; q < lines; q++) {
                const long h = (oh + q) * g.sh - g.top + (part0 + i) * g.dh;
                if (h >= 0 && h < g.h)
                  at[count1++] = {static_cast<int32_t>((i * g.dh + q * g.sh) * panel.width),
                                  static_cast<int32_t>(q * g.wo)};
              }
              multiply<true>(panel.run, r ? X2 : X, g.sw * g.c, r ? G2 : G, count, {at, count1, g.wo}, g.kg, b0, b1,
                             out + i * panel.run * ldo, ldo, b > first);
            }
        }
      }
    });
    sums.finish(db1, db2);
    if (direct) return;
    for (int r = 0; r < routes; r++)
      if (r ? dw2 : dw1)
        addSplits(part + r * splits * partSize, splits, g.groups * g.depth, kp, g.kg,
                  [&](long i) { return (r ? dw2 : dw1) + i % g.depth * g.k + i / g.depth * g.kg; });
  }
};

}  // namespace ISA
}  // namespace bayes
