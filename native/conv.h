// What every convolution and linear layer shares: three products on the register kernel of gemm.h:
//   Forward     out[pixel][k]   = sum over taps of panel[pixel][tap] * w[tap][k]
//   Weights     dw[tap][k]      = sum over pixels of panel[pixel][tap] * g[pixel][k]
//   Data        dx[pixel][c]    = sum over taps of g[pixel'][k] * w[tap][k], the transpose of Forward
// Each runs over several images at once where it pays (product.h, imageWeights.h: nothing is multiplied with padding);
// with at most 12 results a pixel (or 16: LANE_WIDTH) the images lie in the lanes (lanes.h); kernels of 3 and 5 take
// fewer multiplications for the first route (winograd.h), whatever form the second has, or for both; the forms below
// serve few inputs, small batches and groups: rows of an image or im2col (panel.h), and for Data col2im, scattered by
// the one task that owns the image. Each runs one route (plain layers) or two at once over the same block (mean and
// variance), and each serves transposed convolutions too, with the roles of image and map swapped. A linear layer is a
// 1x1 convolution of 1x1 images. Tasks, blocks and splits depend on shapes alone; partial sums are added in a fixed
// order.
#pragma once
#include "imageWeights.h"
#include "laneWeights.h"
#include "lanes.h"

namespace bayes {
namespace ISA {

// Scratch memory for the first form that serves the layer; false: neither does.
template <class A, class B>
INL bool takeFirst(Bump& b, A& first, B& second) {
  if (first.use) first.take(b);
  else if (second.use) second.take(b);
  return first.use || second.use;
}

// ---- Forward, with an epilogue as in product.h.
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

// ---- Weights: dw1 (and dw2) [depth][k], and the sums over the map db1 (and db2) [k]; null where nobody reads it.
struct Weights {
  const Geometry& g;
  const RowPanel panel;
  ShortWeights fast;
  ImageWeights product;
  LaneWeights lanes;
  MapSums sums;
  bool rowwise;
  int routes;
  long mb, blocks, splits, chunks, chunk, columnTasks, stride, kp, panelSize, mapSize, partSize;
  float *part, *local;
  Weights(const Geometry& geo, int routeCount, Bump& b)
      : g(geo),
        panel(geo),
        fast(geo, routeCount),
        product(geo, routeCount),
        lanes(geo, routeCount),
        routes(routeCount) {
    fast.take(b);
    if (takeFirst(b, lanes, product)) return;
    kp = padded(g.kg), partSize = g.groups * g.depth * kp;
    // a small map in front of large weights: blocks of several images, or the sums would travel to memory too often
    rowwise = panel.use && (panel.rows * g.wo >= 128 || partSize <= 32768);
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
    part = b.floats(routes * splits * partSize);
    sums = MapSums(g, g.form, routes, splits);
    sums.take(b);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(2 * panelSize + 2 * mapSize, 16); }

  // `where`: map is pooled (lanes only).
  void run(const Pair& x, const Pair& map, const uint8_t* where, float* dw1, float* dw2, float* db1, float* db2) const {
    if (lanes.use) return lanes.run(x, map, where, dw1, dw2, db1, db2);
    fast.run(x, map, dw1, dw2, db1, db2);
    if (product.use && routes > fast.routes) product.run(x, map, dw1, dw2, db1, db2, fast.routes);
    if (product.use) return;
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

// ---- Data: the gradient of the image, and the forward pass of a transposed convolution; an epilogue as in product.h.
// Where an image panel does not serve, the product g . w^T gives columns that are scattered (col2im) by the one task
// that owns the image.
INL void addRun(float* d, const float* a, long n, bool roomy) {
  long i = 0;
  for (; i + W <= n; i += W) store(d + i, load(d + i) + load(a + i));
  const long left = n - i;
  if (left == 0) return;
  if (roomy) {  // the vector lies in images of this task: lanes beyond the run add zero
    store(d + i, load(d + i) + firstn(load(a + i), left));  // the buffers have slack
  } else storen(d + i, loadn(d + i, left) + load(a + i), left);
}
struct Data {
  const Geometry& g;
  ShortProduct fast;
  ImageProduct product;
  LaneProduct lanes;
  int routes;
  long chunk, ldc, mb, perTask, tasks, ldg, weightSize, mapSize, columnSize, imageSize, spareSize;
  float *packed, *local;
  static constexpr long PIECE = 64;  // pixels of one call of the epilogue
  Data(const Geometry& geo, int routeCount, Bump& b)
      : g(geo),
        fast(geo, true, gradientRoutes(geo, routeCount)),
        product(geo, true, routeCount, fast),
        lanes(geo, true, routeCount, fast),
        routes(routeCount) {
    if (product.use) fast.take(b);
    if (takeFirst(b, lanes, product)) return;
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
    packed = b.floats(routes * weightSize);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(routes * (mapSize + columnSize + imageSize) + spareSize, 16); }

  template <class E>
  void run(const Pair& map, const float* w1, const float* w2, E epilogue) const {
    if (lanes.use) return lanes.run(map, w1, w2, epilogue);
    if (product.use) return product.run(map, w1, w2, fast, epilogue);
    const long nb = columnBlocks(g.depth), size = g.imageSize(), hw = g.ho * g.wo;
    const bool whole = chunk >= g.depth && g.dw == 1 && g.groups == 1;
    const long run = g.kw * g.cg, runEnd = roundUp(run, W);
    const long lastH = g.h - g.dh * (g.kh - 1), lastW = g.w - g.kw + 1;
    const Run all{0, 0};
    parallel(routes * g.groups * nb, [&](long t, int) {
      const long b = t % nb, group = t / nb % g.groups, r = t / nb / g.groups;
      float* d = packed + r * weightSize + group * g.kg * padded(g.depth) + b * 2 * W * g.kg;
      packBlockTransposed(d, (r ? w2 : w1) + group * g.kg, g.kg, g.k, g.depth, b);
      convertBlock(d, g.kg, blockWidth(g.depth, b), g.form);
    });
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
