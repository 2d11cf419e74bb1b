// Winograd's product, of forward pass and data gradient, for the tasks of another form: rows or image panels hand over
// rows of their images and go on with what comes back. A task makes the patches of its rows and multiplies them, unless
// there are so many weights that their points would not stay in the cache: then (`apart`) the products of some images
// come first, a task for each column block of some patches, which makes the points of a few channels at a time and
// multiplies the patches with them while they are in the cache; what is packed are the taps.
#pragma once
#include "patches.h"
#include "../parts/registerTile.h"
#include "../../cpu/scratch.h"

namespace bayes {
namespace ISA {

struct WinogradProduct : WinogradPlan {
  static constexpr long BUDGET = 32768;     // floats of the transformed patches at work,
  static constexpr long APART = 5L << 20;   // of those of some images and their products,
  static constexpr long CACHED = 5L << 19;  // and of the points of weights that tasks read again and again
  static constexpr long CHANNELS = 32;      // apart, whose points are at work,
  static constexpr long PATCHES = 64;       // and the patches of a task;
  static constexpr long PIECE = 8;          // those that are transformed by one
  Encoding encoding;
  long routes;  // that it takes from another form: none, the first, or both
  bool apart = false;
  long most, ldx, stepX, stepOut, stepW, weightSize;  // most: patches at work
  float* packed;  // [route][block][point][ci][width]; apart: [route][block][tap][ci][width]
  float* local;   // [thread]: patches [point][patch][ldx], products [point][patch][2W]; apart: points of weights
  // apart, of `images` images at once, in so many pieces of `most` patches:
  long images, pieces;
  float* patches;   // [piece][block of channels][point][patch][width]
  float* products;  // [route][block][piece][point][patch][2W]
  WinogradProduct(const Geometry& g, const WinogradPlan& plan, long routeCount)
      : WinogradPlan(plan), encoding(g.encoding), routes(routeCount), images(g.n) {
    if (!routes) return;
    ldx = panelStride(ci);
    most = minl(maxl(BUDGET / (points * ldx) / TALL2, 2), 16) * TALL2;
    stepW = pointStride(2 * W * ci), weightSize = columnBlocks(co) * points * stepW;
    apart = points * ci * padded(co) > CACHED;
    if (apart) {
      stepW = pointStride(2 * W * CHANNELS), weightSize = taps() * ci * padded(co);
      const long each = vertical.patches() * horizontal.patches();
      ldx = roundUp(ci, 2 * W);
      const long together = maxl(1, APART / (points * (ldx + padded(co))) / each);
      images = ceilDiv(g.n, ceilDiv(g.n, together));
      pieces = ceilDiv(images * each, PATCHES), most = ceilDiv(images * each, pieces);
    }
    stepX = pointStride(most * (apart ? 2 * W : ldx)), stepOut = pointStride(most * 2 * W);
  }
  INL long taps() const { return vertical.by->r * horizontal.by->r; }
  INL long lowest() const { return routes ? vertical.by->m : 1; }  // of an output's rows, tasks take multiples
  void takeWeights(Bump& b) {
    if (routes) packed = b.floats(routes * weightSize);
  }
  void take(Bump& b) {
    if (!routes) return;
    if (apart)
      patches = b.floats(pieces * patchesSize()), products = b.floats(routes * columnBlocks(co) * productsSize());
    local = b.floats(poolThreads() * localSize());
  }
  INL long blockSize() const { return roundUp(points * stepX, 2 * W); }    // of channels
  INL long patchesSize() const { return columnBlocks(ci) * blockSize(); }  // of a piece
  INL long productsSize() const { return pieces * points * stepOut; }      // of a column block
  INL long localSize() const { return points * (apart ? stepW : stepX + stepOut); }

  void pack(const float* w1, const float* w2) const {
    for (long r = 0; r < routes; r++) {
      if (apart) packTaps(r ? w2 : w1, packed + r * weightSize);
      else packPoints(r ? w2 : w1, packed + r * weightSize);
    }
  }

  // Apart: the products of the images [n0, n1), no more than `images`, of the routes of x.
  void prepare(const Operands& x, long n0, long n1) const {
    if (!apart) return;
    const long each = vertical.patches() * horizontal.patches(), count = (n1 - n0) * each;
    for (long r = 0; r < routes; r++) {
      const PatchTransform transform{x, r > 0, encoding, vertical, horizontal, ci, false};
      parallelRange(count, PIECE, [&](long from, long to) {
        for (long t = from; t < to; t++)
          transform.run(n0 * each + t, patches + t / most * patchesSize(), stepX, t % most, blockSize() / (2 * W), 0);
      });
      parallel(columnBlocks(co) * ceilDiv(count, most), [&](long task, int thread) {
        const long b = task % columnBlocks(co), piece = task / columnBlocks(co);
        multiplyBlock(r, b, piece, minl(most, count - piece * most), local + thread * localSize());
      });
    }
  }

  // Column blocks [b0, b1) of the output rows [o0, o1) of m images -> out [image][row][column][ld]. o0 is a multiple of
  // a patch's rows. x holds `lines` of the input rows, and the images are those from n0 on. Apart, of x nothing is
  // read, and n0 counts from the first image that was prepared.
  void rows(const Operands& x, long route, Encoding as, long n0, long m, Span lines, long o0, long o1, long b0, long b1,
            float* out, long ld, int thread) const {
    const WinogradAxis band{lines.to - lines.from, o1 - o0, vertical.pad - o0 + lines.from, vertical.by};
    const long down = band.patches(), across = horizontal.patches(), total = m * down * across;
    const Result to{down, o1 - o0, out, ld};
    if (apart) {
      const long first = o0 / vertical.by->m, all = vertical.patches();
      for (long b = b0; b < b1; b++)
        for (long t = 0; t < total; t++) {
          const long line = (n0 + t / across / down) * all + first + t / across % down;
          const long patch = line * across + t % across;
          result(to, t, b, productsOf(route, b, patch / most) + patch % most * 2 * W);
        }
      return;
    }
    const PatchTransform transform{x, route > 0, as, band, horizontal, ci, false};
    float *X = local + thread * localSize(), *out1 = X + points * stepX;
    const long turns = ceilDiv(total, most);
    const Run whole{0, 0};
    for (long turn = 0; turn < turns; turn++) {
      const long t0 = total * turn / turns, count = total * (turn + 1) / turns - t0;
      for (long t = 0; t < count; t++) transform.run(n0 * down * across + t0 + t, X, stepX, t, count, ldx);
      for (long b = b0; b < b1; b++) {
        const long width = blockWidth(co, b);
        const float* w = packed + route * weightSize + b * points * stepW;
        for (long p = 0; p < points; p++)
          multiply<false>(count, X + p * stepX, ldx, w + p * stepW, ci, {&whole, 1, ci}, width, 0, 1,
                          out1 + p * stepOut, 2 * W, false);
        for (long t = 0; t < count; t++) result(to, t0 + t, b, out1 + t * 2 * W);
      }
    }
  }

 private:
  INL float* productsOf(long route, long b, long piece) const {
    return products + (route * columnBlocks(co) + b) * productsSize() + piece * points * stepOut;
  }
  // Apart: column block b of a piece of `rows` patches; w: room for points of weights.
  void multiplyBlock(long route, long b, long piece, long rows, float* w) const {
    const long width = blockWidth(co, b), nh = horizontal.by->n, block = blockSize();
    const float* from = packed + route * weightSize + b * 2 * W * taps() * ci;
    for (long i0 = 0, n; i0 < ci; i0 += n) {  // whole blocks of channels, and then what is left
      const long whole = minl(ci - i0, CHANNELS) / (2 * W), steps = minl(ci - i0, 2 * W),
                 ld = blockWidth(ci, i0 / (2 * W));
      n = whole ? whole * 2 * W : steps;
      for (long i = 0; i < n; i++)
        for (long z = 0; z < width; z += W)
          pointsOfTaps(from + (i0 + i) * width + z, ci * width, w + i * width + z, stepW, nh * stepW);
      Run at[CHANNELS];
      for (long q = 0; q < maxl(1, whole); q++)
        at[q] = {static_cast<int32_t>(q * block), static_cast<int32_t>(q * 2 * W)};
      const float* x = patches + piece * patchesSize() + i0 / (2 * W) * block;
      for (long p = 0; p < points; p++)
        multiply<false>(rows, x + p * stepX, ld, w + p * stepW, n, {at, maxl(1, whole), steps}, width, 0, 1,
                        productsOf(route, b, piece) + p * stepOut, 2 * W, i0 > 0);
    }
  }
  struct Result {
    long down, rows;  // patches of an image along them
    float* out;       // [image][row][column][ld]
    long ld;
  };
  // Patch t of them, of column block b.
  void result(const Result& to, long t, long b, const float* products) const {
    const long across = horizontal.patches(), r0 = t / across % to.down * vertical.by->m;
    const long q0 = t % across * horizontal.by->m;
    float* d = to.out + ((t / across / to.down * to.rows + r0) * horizontal.out + q0) * to.ld + b * 2 * W;
    for (long z = 0; z < blockWidth(co, b); z += W)
      fromPoints(vertical, horizontal, products + z, stepOut, d + z, to.ld, to.rows - r0, horizontal.out - q0);
  }
  // Weights [kh][kw][c][k] -> [block][point][ci][width]
  void packPoints(const float* w, float* to) const {
    const long nh = horizontal.by->n;
    parallelRange(columnBlocks(co) * ci, maxl(1, 1024 / taps()), [&](long from, long end) {
      for (long t = from; t < end; t++) {
        const long b = t / ci, i = t % ci, width = blockWidth(co, b);
        float* d = to + b * points * stepW + i * width;
        for (long z = 0; z < width; z += W) pointsOf(w, i, b * 2 * W + z, encoding, d + z, stepW, nh * stepW);
      }
    });
  }
  // -> [block][tap][ci][width]; a gradient reads the taps backwards
  void packTaps(const float* w, float* to) const {
    parallel(columnBlocks(co) * taps(), [&](long t, int) {
      const long b = t / taps(), tap = t % taps(), width = blockWidth(co, b);
      float* d = to + b * 2 * W * taps() * ci + tap * ci * width;
      if (transposed) packBlockTransposed(d, w + (taps() - 1 - tap) * ci * co, ci, ci, co, b);
      else packBlock(d, w + tap * ci * co, ci, co, co, b);
      convertBlock(d, ci, width, encoding);
    });
  }
};

}  // namespace ISA
}  // namespace bayes
