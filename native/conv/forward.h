// The forward pass of a convolution (conv.h), with an epilogue as in product.h: the form that serves it, or rows of an
// image or im2col (panel.h).
#pragma once
#include "imageLanes/product.h"
#include "imagePanels/product.h"
#include "rows/im2col.h"
#include "rows/rowPanel.h"

namespace bayes {
namespace ISA {

struct Forward {
  const Geometry& g;
  RowPanel panel;
  ShortProduct fast;
  ImageProduct product;
  LaneProduct lanes;
  bool byRows;  // a block is some rows of an image
  int routes;
  long chunk, stride, mb, blocks, splits, ld, weightSize, panelSize, outSize, spareSize;
  float *packed, *local;
  Forward(const Geometry& geo, int routeCount, Bump& b)
      : g(geo),
        panel(geo),
        fast(geo, false, 1),
        product(geo, false, routeCount, fast),
        lanes(geo, false, routeCount, fast),
        routes(routeCount) {
    if (!lanes.use) fast.take(b);
    if (takeFirst(b, lanes, product)) return;
    if (fast.use && !panel.use) panel.rows = maxl(1, 128 / g.wo);
    panel.rows = minl(roundUp(panel.rows, fast.lowest()), g.ho);
    chunk = ceilDiv(g.depth, ceilDiv(g.depth, 768));
    stride = panelStride(chunk);
    mb = 49152 / (stride * routes);                     // panels of 192 KiB
    mb = minl(mb, maxl(TALL2, 65536 / (g.k + 2 * W)));  // and the outputs, 256 KiB each
    mb = minl(maxl(mb, 2 * TALL2), 256);
    mb = minl(mb, maxl(ceilDiv(g.pixels, 16), minl(g.pixels, 8 * TALL2)));  // but some tasks for every thread
    byRows = panel.use || fast.use;
    if (byRows) mb = panel.rows * g.wo;
    blocks = byRows ? g.n * panel.perImage(g) : ceilDiv(g.pixels, mb);
    splits = g.groups > 1 || blocks >= 8 ? 1 : minl(columnBlocks(g.k), ceilDiv(16, blocks));  // of the columns
    ld = g.k + 2 * W;  // a group may write padding beyond its columns, which the next one overwrites
    weightSize = g.groups * g.depth * padded(g.kg);
    panelSize = panel.use ? panel.size(g) : mb * stride + W, outSize = mb * ld, spareSize = epilogueSpare(g.k);
    packed = b.floats(routes * weightSize);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(2 * panelSize + 2 * outSize + spareSize, 16); }

  void pack(const float* w1, const float* w2) const {  // weights [depth][k]
    const long nb = columnBlocks(g.kg);
    parallel((routes - fast.routes) * g.groups * nb, [&](long t, int) {
      const long b = t % nb, group = t / nb % g.groups, r = fast.routes + t / nb / g.groups;
      float* d = packed + r * weightSize + group * g.depth * padded(g.kg) + b * 2 * W * g.depth;
      packBlock(d, (r ? w2 : w1) + group * g.kg, g.depth, g.k, g.kg, b);
      convertBlock(d, g.depth, blockWidth(g.kg, b), g.form);
    });
  }
  template <class E>
  void run(const Pair& x, const float* w1, const float* w2, E epilogue) const {
    if (lanes.use) return lanes.run(x, w1, w2, epilogue);
    if (product.use) return product.run(x, w1, w2, fast, epilogue);
    fast.pack(w1, w2);
    pack(w1, w2);
    const long nb = columnBlocks(g.kg);
    parallel(blocks * splits, [&](long task, int thread) {
      const long split = task % splits, n = task / splits / panel.perImage(g);
      const long oh = task / splits % panel.perImage(g) * panel.rows, lines = minl(panel.rows, g.ho - oh);
      const long p0 = byRows ? (n * g.ho + oh) * g.wo : task / splits * mb;
      const long count = byRows ? lines * g.wo : minl(mb, g.pixels - p0);
      const long b0 = nb * split / splits, b1 = nb * (split + 1) / splits;
      float *X = local + thread * localSize(), *X2 = X + panelSize, *out = X2 + panelSize, *out2 = out + outSize;
      if (fast.use) fast.rows(x, 0, g.form, n, 1, {0, g.h}, oh, oh + lines, b0, b1, out, ld, thread);
      if (panel.use && routes > fast.routes) {
        panel.fill(g, x, n, oh, lines, 0, g.kh, X, X2);
        Run at[RowPanel::MOST_ROWS];
        for (int r = fast.routes; r < routes; r++)
          for (long b = b0; b < b1; b++)  // a block of weights stays in the cache for all lines
            for (long q = 0; q < lines; q++)
              multiply<false>(g.wo, (r ? X2 : X) + q * g.sh * panel.width, g.sw * g.c, packed + r * weightSize, g.depth,
                              {at, panel.runs(g, oh + q, at), panel.run}, g.kg, b, b + 1,
                              (r ? out2 : out) + q * g.wo * ld, ld, false);
      }
      for (long group = 0; group < g.groups && !panel.use && routes > fast.routes; group++)
        for (long k0 = 0; k0 < g.depth; k0 += chunk) {
          const long k1 = minl(k0 + chunk, g.depth);
          gather(g, x, group, p0, count, k0, k1, X, X2, stride);
          const Run at{0, static_cast<int32_t>(k0)};
          for (int r = fast.routes; r < routes; r++)
            multiply<false>(count, r ? X2 : X, stride, packed + r * weightSize + group * g.depth * padded(g.kg),
                            g.depth, {&at, 1, k1 - k0}, g.kg, b0, b1, (r ? out2 : out) + group * g.kg, ld, k0 > 0);
        }
      const long c1 = split + 1 == splits ? g.k : b1 * 2 * W;
      epilogue(p0, count, b0 * 2 * W, c1, out, out2, ld, out2 + outSize);
    });
    if (epilogue.pool.use())  // a task's pixels need not be whole windows
      parallel(g.n, [&](long n, int) { epilogue.rowsDone(n, 0, g.ho, 0, g.k); });
  }
};

}  // namespace ISA
}  // namespace bayes
