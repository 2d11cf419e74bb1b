// The product of an image panel (panel.h) with packed weights: out[pixel][column] = sum over the taps that fall on the
// input of panel[pixel'][c] * w[tap][c][column]. Forward and data gradient of a convolution are both one: they differ
// in which input a tap reads and in how the weights are packed. One or two routes over the same block of images; the
// mean's may be Winograd's, from rows of the same images. Serves what panel.h does. Bound by the multiply-adds as long
// as the images fill the height of a register tile.
#pragma once
#include "panel.h"
#include "../parts/epilogue.h"
#include "../winograd/product.h"

namespace bayes {
namespace ISA {

struct ImagePanelProduct {
  static constexpr long BUDGET = 98304;
  WinogradProduct winograd;
  Encoding encoding;
  Axis vertical, horizontal;
  long n, ci, co, k, slices, sliceIn, sliceOut, routes;  // slices of the channels: the convolution's groups
  long steps, sliceSteps;                                // of a pixel and of a tap: channels, or words of two
  long depth, rows, bands, most, groups, splits, ld, weightSize, panelSize, outSize, spareSize;
  float* packed;  // [route that Winograd leaves][slice][block][tap][step][width]
  float* local;   // [thread]: of each route a panel and outputs [image][pixel][ld]; room for the epilogue

  // `as`: how the operands of the routes that Winograd leaves are encoded.
  ImagePanelProduct(const Geometry& g, bool transposed, long routeCount, const WinogradProduct& first, Encoding as)
      : winograd(first),
        encoding(as),
        vertical(g.vertical(transposed)),
        horizontal(g.horizontal(transposed)),
        n(g.n),
        k(g.k),
        slices(g.groups),
        routes(routeCount) {
    ci = transposed ? g.k : g.c, co = transposed ? g.c : g.k;
    sliceIn = ci / slices, sliceOut = co / slices, sliceSteps = ceilDiv(sliceIn, stepsPerWord(encoding));
    steps = slices * sliceSteps, depth = g.kh * g.kw * sliceIn, ld = co + 2 * W;
    const long tall = minl(n, sliceOut <= W ? TALL1 : TALL2), line = horizontal.in * (winograd.routes ? ci : steps),
               outLine = horizontal.out * ld;
    // as many rows as the caches hold for one tile of images, and then as many images
    rows = vertical.out, bands = 1;
    while (rows > 1 && tall * maxl(vertical.mostReached(rows) * line, rows * outLine) > BUDGET)
      bands++, rows = ceilDiv(vertical.out, bands);
    const long unit = leastCommon(winograd.lowest(), transposed ? 1 : g.windows.kh);  // of a task's rows: whole windows
    rows = minl(roundUp(rows, unit), vertical.out), bands = ceilDiv(vertical.out, rows);
    most = BUDGET / maxl(vertical.mostReached(rows) * line, rows * outLine) / tall * tall;
    most = minl(maxl(tall, minl(most, 8 * tall)), n);
    const long wish = ceilDiv(16, bands);  // tasks for every thread
    if (ceilDiv(n, most) < wish) most = maxl(tall, roundUp(ceilDiv(n, wish), tall));
    if (winograd.apart) most = minl(most, winograd.images);
    groups = ceilDiv(n, most), most = ceilDiv(n, groups);
    // still too few tasks: fewer rows each, which reads some lines twice, rather than the images again for other
    // columns
    const long reach = vertical.taps - 1;
    while (groups * bands < 12 && rows >= maxl(2 * unit, 4 * reach))
      rows = roundUp(ceilDiv(rows, 2), unit), bands = ceilDiv(vertical.out, rows);
    splits = maxl(1, minl(slices * columnBlocks(sliceOut), 16 / (groups * bands)));
    weightSize = slices * depth * padded(sliceOut);
    panelSize = vertical.mostReached(rows) * line * most + 2 * W, outSize = most * rows * outLine;
    spareSize = epilogueSpare(co);
  }
  void takeWeights(Bump& b) {
    winograd.takeWeights(b);
    packed = b.floats((routes - winograd.routes) * weightSize);
  }
  void take(Bump& b) {
    winograd.take(b);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(routes * (panelSize + outSize) + spareSize, 16); }

  INL float* packedOf(long route) const { return packed + (route - winograd.routes) * weightSize; }

  // Weights [tap][c][k] of the convolution
  void pack(const float* w1, const float* w2) const {
    winograd.pack(w1, w2);
    const long nb = columnBlocks(sliceOut), taps = vertical.taps * horizontal.taps;
    const long kg = vertical.transposed ? sliceIn : sliceOut, tapSize = slices * sliceIn * sliceOut;
    parallel((routes - winograd.routes) * slices * nb, [&](long t, int) {
      const long b = t % nb, slice = t / nb % slices, r = winograd.routes + t / nb / slices,
                 width = blockWidth(sliceOut, b);
      const float* w = (r ? w2 : w1) + slice * kg;
      float* d = packedOf(r) + slice * depth * padded(sliceOut) + b * 2 * W * depth;
      for (long tap = 0; tap < taps; tap++, d += sliceSteps * width, w += tapSize) {
        if (vertical.transposed) packBlockTransposed(d, w, sliceIn, k, sliceOut, b);
        else packBlock(d, w, sliceIn, k, sliceOut, b);
        convertBlock(d, sliceIn, width, encoding);
      }
    });
  }

  template <class E>
  void run(const Operands& x, E epilogue) const {
    const long nb = slices * columnBlocks(sliceOut), area = vertical.out * horizontal.out;
    const bool single = area * vertical.in * horizontal.in == 1;  // pixels, which are rows of a matrix
    const auto task = [&](long task, long prepared, int thread) {
      const long split = task % splits, band = task / splits % bands, group = task / splits / bands;
      const long b0 = nb * split / splits, b1 = nb * (split + 1) / splits;
      const long n0 = n * group / groups, m = n * (group + 1) / groups - n0;
      const long o0 = band * rows, o1 = minl(o0 + rows, vertical.out), count = (o1 - o0) * horizontal.out;
      float *X = local + thread * localSize(), *out = X + routes * panelSize, *spare = out + routes * outSize;
      ImageBlock block{n0, m, 0, 0, vertical.in, horizontal.in, ci, 0};
      vertical.reach(o0, o1, block.h0, block.h1);
      float* X2 = X + (routes - 1) * panelSize;
      if (winograd.apart)
        for (long r = 0; r < winograd.routes; r++)
          winograd.rows(x, r, FLOAT, n0 - prepared, m, {0, 0}, o0, o1, b0, b1, out + r * outSize, ld, thread);
      else if (winograd.routes == 1 && winograd.encoding == FLOAT && x.asItIs(false))
        winograd.rows(x, 0, FLOAT, n0, m, {0, vertical.in}, o0, o1, b0, b1, out, ld, thread);
      else if (winograd.routes) {  // windows overlap: elements are made once
        makeRows(winograd.routes < routes ? x.first() : x, winograd.encoding, block, X, X2);
        for (long r = 0; r < winograd.routes; r++)
          winograd.rows({X, X2, BOTH}, r, FLOAT, 0, m, {block.h0, block.h1}, o0, o1, b0, b1, out + r * outSize, ld,
                        thread);
      }
      const float* whole = single && routes == 1 && encoding == FLOAT ? x.asItIs(false) : nullptr;  // a panel already
      if (whole) X = const_cast<float*>(whole + n0 * ci);
      else if (routes > winograd.routes)  // both routes to one place: the second is what stays
        packImages(x, encoding, block, n * vertical.in * horizontal.in * ci, {ci, 1, 0}, winograd.routes ? X2 : X, X2);
      for (long b = b0; b < b1; b++)
        for (long r = winograd.routes; r < routes; r++)
          for (long o = o0; o < o1; o++)
            line(block, o, b, X + r * panelSize, packedOf(r), out + r * outSize + (o - o0) * horizontal.out * ld,
                 count * ld);
      const long c0 = columnOf(b0), c1 = columnOf(b1);
      for (long i = 0; i < m; i++) {
        if (!single || i == 0)
          epilogue((n0 + i) * area + o0 * horizontal.out, single ? m : count, c0, c1, out + i * count * ld,
                   out + (routes - 1) * outSize + i * count * ld, ld, spare);
        epilogue.rowsDone(n0 + i, o0, o1, c0, c1);
      }
    };
    const long together = winograd.apart ? maxl(1, winograd.images / most) : groups, each = bands * splits;
    for (long first = 0; first < groups; first += together) {
      const long last = minl(first + together, groups), n0 = n * first / groups;
      winograd.prepare(winograd.routes < routes ? x.first() : x, n0, n * last / groups);
      parallel((last - first) * each, [&](long t, int thread) { task(first * each + t, n0, thread); });
    }
  }

 private:
  // The first column of block b, of all slices' blocks
  INL long columnOf(long b) const { return b / columnBlocks(sliceOut) * sliceOut + b % columnBlocks(sliceOut) * 2 * W; }
  // The elements of a block of images -> d, d2 [image][pixel][channel]
  static void makeRows(const Operands& x, Encoding encoding, const ImageBlock& b, float* d, float* d2) {
    const long size = (b.h1 - b.h0) * b.w * b.c;
    withKind(x, encoding, [&](auto K) {
      for (long i = 0; i < b.m; i++)
        copyRun<K.value>(x, ((b.n0 + i) * b.h + b.h0) * b.w * b.c, d + i * size, d2 + i * size, size);
    });
  }
  // Column block b of output row o of all images of the block. What a slice's last one writes beyond its columns, the
  // next slice's first one writes over.
  void line(const ImageBlock& block, long o, long b, const float* X, const float* w, float* out, long image) const {
    const long pixel = block.m * steps, slice = b / columnBlocks(sliceOut), own = b % columnBlocks(sliceOut);
    X += slice * sliceSteps, w += slice * depth * padded(sliceOut), out += slice * sliceOut;
    Run at[MOST_PANEL_TAPS];
    for (long q = 0; q < horizontal.out; q++, out += ld) {
      long count = 0;
      for (long i = 0; i < vertical.taps; i++) {
        const long h = vertical.at(o, i);
        if (h < 0) continue;
        for (long j = 0; j < horizontal.taps; j++) {
          const long v = horizontal.at(q, j);
          if (v >= 0)
            at[count++] = {static_cast<int32_t>(((h - block.h0) * horizontal.in + v) * pixel),
                           static_cast<int32_t>((i * horizontal.taps + j) * sliceSteps)};
        }
      }
      multiply<false>(block.m, X, steps, w, depth, {at, count, sliceSteps, 1, encoding}, sliceOut, own, own + 1, out,
                      image, false);
    }
  }
};

}  // namespace ISA
}  // namespace bayes
