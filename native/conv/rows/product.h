// The forward pass from rows of one image at a time, or (im2col) from some pixels of the map: a block of them is
// packed, and multiplied with all weights. Winograd's patches may take the mean. Serves what rowPanel.h and im2col.h
// do: single images, few channels, groups. Bound by the multiply-adds.
#pragma once
#include "../parts/epilogue.h"
#include "../winograd/product.h"
#include "im2col.h"
#include "rowPanel.h"

namespace bayes {
namespace ISA {

struct RowProduct {
  const Geometry& g;
  const bool panels;  // of image rows; else im2col
  RowPanel panel;
  WinogradProduct winograd;
  bool byRows;  // a block is some rows of an image
  int routes;
  long chunk, stride, mb, blocks, splits, ld, weightSize, panelSize, outSize, spareSize;
  float* packed;  // [route that Winograd leaves][group][block][tap][width]
  float* local;   // [thread]: panels and outputs [pixel][ld], two each, and room for the epilogue
  RowProduct(const Geometry& geo, bool rowPanels, int routeCount, const WinogradProduct& first)
      : g(geo), panels(rowPanels), panel(geo), winograd(first), routes(routeCount) {
    if (winograd.routes && !panels) panel.rows = maxl(1, 128 / g.wo);
    panel.rows = minl(roundUp(panel.rows, winograd.lowest()), g.ho);
    chunk = ceilDiv(g.depth, ceilDiv(g.depth, 768));
    stride = panelStride(chunk);
    mb = 49152 / (stride * routes);                     // panels of 192 KiB
    mb = minl(mb, maxl(TALL2, 65536 / (g.k + 2 * W)));  // and the outputs, 256 KiB each
    mb = minl(maxl(mb, 2 * TALL2), 256);
    mb = minl(mb, maxl(ceilDiv(g.pixels, 16), minl(g.pixels, 8 * TALL2)));  // but some tasks for every thread
    byRows = panels || winograd.routes;
    if (byRows) mb = panel.rows * g.wo;
    blocks = byRows ? g.n * panel.perImage(g) : ceilDiv(g.pixels, mb);
    splits = g.groups > 1 || blocks >= 8 ? 1 : minl(columnBlocks(g.k), ceilDiv(16, blocks));  // of the columns
    ld = g.k + 2 * W;  // a group may write padding beyond its columns, which the next one overwrites
    weightSize = g.groups * g.depth * padded(g.kg);
    panelSize = panels ? panel.size(g) : mb * stride + W, outSize = mb * ld, spareSize = epilogueSpare(g.k);
  }
  void takeWeights(Bump& b) {
    winograd.takeWeights(b);
    packed = b.floats((routes - winograd.routes) * weightSize);
  }
  void take(Bump& b) {
    winograd.take(b);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(2 * panelSize + 2 * outSize + spareSize, 16); }

  INL float* packedOf(long route) const { return packed + (route - winograd.routes) * weightSize; }

  void pack(const float* w1, const float* w2) const {  // weights [depth][k]
    winograd.pack(w1, w2);
    const long nb = columnBlocks(g.kg);
    parallel((routes - winograd.routes) * g.groups * nb, [&](long t, int) {
      const long b = t % nb, group = t / nb % g.groups, r = winograd.routes + t / nb / g.groups;
      float* d = packedOf(r) + group * g.depth * padded(g.kg) + b * 2 * W * g.depth;
      packBlock(d, (r ? w2 : w1) + group * g.kg, g.depth, g.k, g.kg, b);
      convertBlock(d, g.depth, blockWidth(g.kg, b), g.encoding);
    });
  }
  template <class E>
  void run(const Operands& x, E epilogue) const {
    const long nb = columnBlocks(g.kg);
    const auto task = [&](long task, long prepared, int thread) {
      const long split = task % splits, n = task / splits / panel.perImage(g);
      const long oh = task / splits % panel.perImage(g) * panel.rows, lines = minl(panel.rows, g.ho - oh);
      const long p0 = byRows ? (n * g.ho + oh) * g.wo : task / splits * mb;
      const long count = byRows ? lines * g.wo : minl(mb, g.pixels - p0);
      const long b0 = nb * split / splits, b1 = nb * (split + 1) / splits;
      float *X = local + thread * localSize(), *X2 = X + panelSize, *out = X2 + panelSize, *out2 = out + outSize;
      if (winograd.routes)
        winograd.rows(x, 0, g.encoding, n - prepared, 1, {0, g.h}, oh, oh + lines, b0, b1, out, ld, thread);
      if (panels && routes > winograd.routes) {
        panel.fill(g, x, n, oh, lines, 0, g.kh, X, X2);
        Run at[RowPanel::MOST_ROWS];
        for (int r = winograd.routes; r < routes; r++)
          for (long b = b0; b < b1; b++)  // a block of weights stays in the cache for all lines
            for (long q = 0; q < lines; q++)
              multiply<false>(g.wo, (r ? X2 : X) + q * g.sh * panel.width, g.sw * g.c, packedOf(r), g.depth,
                              {at, panel.runs(g, oh + q, at), panel.run}, g.kg, b, b + 1,
                              (r ? out2 : out) + q * g.wo * ld, ld, false);
      }
      for (long group = 0; group < g.groups && !panels && routes > winograd.routes; group++)
        for (long k0 = 0; k0 < g.depth; k0 += chunk) {
          const long k1 = minl(k0 + chunk, g.depth);
          gather(g, x, group, p0, count, k0, k1, X, X2, stride);
          const Run at{0, static_cast<int32_t>(k0)};
          for (int r = winograd.routes; r < routes; r++)
            multiply<false>(count, r ? X2 : X, stride, packedOf(r) + group * g.depth * padded(g.kg), g.depth,
                            {&at, 1, k1 - k0}, g.kg, b0, b1, (r ? out2 : out) + group * g.kg, ld, k0 > 0);
        }
      const long c1 = split + 1 == splits ? g.k : b1 * 2 * W;
      epilogue(p0, count, b0 * 2 * W, c1, out, out2, ld, out2 + outSize);
    };
    const long together = winograd.apart ? winograd.images * panel.perImage(g) : blocks;  // blocks of some images
    for (long first = 0; first < blocks; first += together) {
      const long last = minl(first + together, blocks), n0 = winograd.apart ? first / panel.perImage(g) : 0;
      if (winograd.apart) winograd.prepare(x.first(), n0, last / panel.perImage(g));
      parallel((last - first) * splits, [&](long t, int thread) { task(first * splits + t, n0, thread); });
    }
    if (epilogue.pool.use())  // a task's pixels need not be whole windows
      parallel(g.n, [&](long n, int) { epilogue.rowsDone(n, 0, g.ho, 0, g.k); });
  }
};

}  // namespace ISA
}  // namespace bayes
