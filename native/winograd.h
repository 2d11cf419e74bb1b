// Convolutions of stride 1 by short correlations (short.h) along both axes: tiles of the image are transformed, then a
// number of plain matrix products, one for every point, do what a product over all taps did, with two to five times
// fewer multiplications; and back. Errors are relative to what else is in a tile, which suits a mean and its gradients
// but never a variance, whose smallest values have to stay positive and exact; the gradients through a variance come
// this way only where their operands are rounded to bfloat16 anyhow. Bound by the multiply-adds of the points and, for
// few channels, by the transforms.
#pragma once
#include "imageWeights.h"
#include "short.h"
#include "window.h"

namespace bayes {
namespace ISA {

// How many routes of a gradient are taken: in float32, those through a variance are plain sums.
INL long gradientRoutes(const Geometry& g, long routes) { return inWords(g.form, PAIRS) == ROUNDED ? routes : 1; }

constexpr long MOST_POINTS = 64;  // of a tile

// Tiles along one axis: `m` results each, from `n` inputs of which the first lies `pad` before the tile's results.
struct ShortAxis {
  long in, out, pad;
  const Short* by;
  INL long tiles() const { return ceilDiv(out, by->m); }
};
// Where a plain product multiplies: the taps of all outputs that fall on the input.
INL long tapsInside(long in, long out, long taps, long pad) {
  long count = 0;
  for (long o = 0; o < out; o++)
    for (long i = 0; i < taps; i++) count += o - pad + i >= 0 && o - pad + i < in;
  return count;
}
// Vectors of different points lie an odd number of cache lines apart, or they would share a set.
INL long pointStride(long n) { return (ceilDiv(n, 16) | 1) * 16; }

// The geometry of both axes, and whether it pays: by multiply-adds and transforms of one image, a function of the
// layer's shape alone, so that a convolution's results do not depend on the batch.
struct ShortPlan {
  ShortAxis vertical, horizontal;
  long ci, co, points = 0, routes = 0;  // routes: how many it takes from another form, the first or both
  bool use, transposed;
  // `inLanes`: by shortLanes.h, if there are enough images.
  ShortPlan(const Geometry& g, bool backwards, long routesIfUsed, bool inLanes) : transposed(backwards) {
    ci = transposed ? g.k : g.c, co = transposed ? g.c : g.k;
    vertical = {transposed ? g.ho : g.h, transposed ? g.h : g.ho, transposed ? g.kh - 1 - g.top : g.top, nullptr};
    horizontal = {transposed ? g.wo : g.w, transposed ? g.w : g.wo, transposed ? g.kw - 1 - g.left : g.left, nullptr};
    vertical.by = shortFor(g.kh, vertical.out), horizontal.by = shortFor(g.kw, horizontal.out);
    use = vertical.by && horizontal.by && g.groups == 1 && g.sh == 1 && g.sw == 1 && g.dh == 1 && g.dw == 1 &&
          ci >= 5 && co > (inLanes ? 4 : NARROW) && g.depth <= 4096;
    if (!use) return;
    points = vertical.by->n * horizontal.by->n;
    const double taps = static_cast<double>(tapsInside(vertical.in, vertical.out, g.kh, vertical.pad)) *
                        tapsInside(horizontal.in, horizontal.out, g.kw, horizontal.pad);
    const double all = static_cast<double>(vertical.tiles() * horizontal.tiles() * points);
    // transforms and multiply-adds in multiply-adds of a vector of 8, as measured with AVX2
    const double vectors = 20.0 * (ceilDiv(ci, 8) + 0.6 * ceilDiv(co, 8));
    use = co > NARROW && all * (1.15 * ci * co / 8 + vectors) < 0.8 * taps * ci * co / 8;
    // the same with whole vectors of images
    const double transforms = all * (8.0 * ci + 4.5 * co);
    if (inLanes && co <= LANE_WIDTH) use |= 1.25 * all * ci * co + transforms < 0.8 * taps * ci * co;
    if (use) routes = routesIfUsed;
  }
  // The points of channel i to a vector of channels from o on, of w [kh][kw][c][k]: `across` and `down` floats apart. A
  // gradient reads the taps backwards.
  void pointsOf(const float* w, long i, long o, Form form, float* to, long across, long down) const {
    const long kh = vertical.by->r, kw = horizontal.by->r;
    alignas(64) float a[MOST_POINTS * W], b[MOST_POINTS * W];
    for (long tap = 0; tap < kh * kw; tap++) {
      vf v;
      if (!transposed) v = o < co ? loadn(w + (tap * ci + i) * co + o, co - o) : vf{};
      else
        for (long l = 0; l < W; l++) v[l] = o + l < co ? w[((kh * kw - 1 - tap) * co + o + l) * ci + i] : 0;
      store(a + tap * W, form == FLOAT ? v : bf16(v));
    }
    vertical.by->weights(a, kw * W, W, b, kw * W, W, kw);
    horizontal.by->weights(b, W, kw * W, to, across, down, vertical.by->n);
  }
};

// The window [h0, h0 + rows) x [w0, w0 + columns) of an image [h, w, c] that starts at `image`, channels c0 .. c0 + W
// of a route -> d [rows][columns][W], zeros outside.
template <int K, bool SECOND>
static void windowKind(const Pair& src, long image, long h, long w, long c, long c0, long h0, long w0, long rows,
                       long columns, float* d) {
  const Span in = inside(h0, rows, h), across = inside(w0, columns, w);
  const long n = across.to - across.from;
  if (in.to - in.from < rows || n < columns)
    for (long i = 0; i < rows * columns; i++) store(d + i * W, vf{});
  d += (in.from * columns + across.from) * W;
  long at = image + ((h0 + in.from) * w + w0 + across.from) * c + c0;
  for (long i = in.from; i < in.to; i++, at += w * c, d += columns * W)
    for (long j = 0; j < n; j++) {
      vf a, b;
      elements<K>(src, at + j * c, c - c0, a, b);
      store(d + j * W, inForm<K>(SECOND ? b : a));
    }
}

// One tile's products of a vector, a point `step` floats from the next -> its results, as many as lie inside, `pixel`
// floats apart.
static inline void untile(const ShortAxis& vertical, const ShortAxis& horizontal, const float* products, long step,
                          float* to, long pixel, long inRows, long inColumns) {
  const long mv = vertical.by->m, mh = horizontal.by->m, nh = horizontal.by->n, line = horizontal.out * pixel;
  alignas(64) float a[MOST_POINTS * W], y[MOST_POINTS * W];
  vertical.by->output(products, nh * step, step, a, nh * W, W, nh);
  if (inRows >= mv && inColumns >= mh) return horizontal.by->output(a, W, nh * W, to, pixel, line, mv);
  horizontal.by->output(a, W, nh * W, y, W, mh * W, mv);
  for (long i = 0; i < minl(mv, inRows); i++)
    for (long j = 0; j < minl(mh, inColumns); j++) store(to + i * line + j * pixel, load(y + (i * mh + j) * W));
}

// Tiles of a route of `src` [n, h, w, c], a matrix applied along both axes -> [point][tile][channel], a point `step`
// floats from the next, or [point][block][tile][width], the packed columns of gemm.h.
struct TileTransform {
  Pair src;
  bool second;
  Form form;
  ShortAxis vertical, horizontal;  // `in` and `pad` are those of src, tiles are counted by `out`
  long c;
  bool ofResults;  // windows of m results, for outputGradient; else of n inputs, for input
  // Tile t, at `row` of `rows` of them; ld > 0: the first layout.
  void run(long t, float* to, long step, long row, long rows, long ld) const {
    alignas(64) float a[MOST_POINTS * W], b[MOST_POINTS * W];
    const Short &v = *vertical.by, &u = *horizontal.by;
    Short::Lines *down = ofResults ? v.outputGradient : v.input, *along = ofResults ? u.outputGradient : u.input;
    const long tall = ofResults ? v.m : v.n, wide = ofResults ? u.m : u.n, h = vertical.in, w = horizontal.in;
    const long across = horizontal.tiles(), image = t / across / vertical.tiles() * h * w * c;
    const long h0 = t / across % vertical.tiles() * v.m - vertical.pad, w0 = t % across * u.m - horizontal.pad;
    const float* plain = src.asItIs(second);
    if (form != FLOAT || h0 < 0 || w0 < 0 || h0 + tall > h || w0 + wide > w || c % W) plain = nullptr;
    for (long c0 = 0; c0 < c; c0 += W) {
      if (plain) down(plain + image + (h0 * w + w0) * c + c0, w * c, c, b, wide * W, W, wide);
      else {
        withKind(src, form, [&](auto K) {
          if (second) windowKind<K.value, true>(src, image, h, w, c, c0, h0, w0, tall, wide, a);
          else windowKind<K.value, false>(src, image, h, w, c, c0, h0, w0, tall, wide, a);
        });
        down(a, wide * W, W, b, wide * W, W, wide);
      }
      const long block = c0 / (2 * W), start = block * 2 * W;
      float* d = to + (ld ? row * ld + c0 : start * rows + row * blockWidth(c, block) + c0 - start);
      along(b, W, wide * W, d, step, u.n * step, v.n);
    }
  }
};

// ---- The product of forward pass and data gradient, for the tasks of other forms (product.h, forward.h).
struct ShortProduct : ShortPlan {
  static constexpr long BUDGET = 32768;  // floats of the transformed tiles at work
  Form form;
  long most, ldx, stepX, stepOut, weightSize;
  float *packed, *local;
  ShortProduct(const Geometry& g, bool backwards, long routesIfUsed)
      : ShortPlan(g, backwards, routesIfUsed, true), form(g.form) {
    if (!use) return;
    ldx = panelStride(ci);
    most = minl(maxl(BUDGET / (points * ldx) / TALL2, 2), 16) * TALL2;
    stepX = pointStride(most * ldx), stepOut = pointStride(most * 2 * W);
    weightSize = points * ci * padded(co);
  }
  INL long lowest() const { return use ? vertical.by->m : 1; }  // of an output's rows, tasks take multiples
  void take(Bump& b) {
    if (!use) return;
    packed = b.floats(routes * weightSize);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return points * (stepX + stepOut); }

  void pack(const float* w1, const float* w2) const {
    for (long r = 0; r < routes; r++) packRoute(r ? w2 : w1, packed + r * weightSize);
  }

  // Column blocks [b0, b1) of the output rows [o0, o1) of m images -> out [image][row][column][ld]. o0 is a multiple of
  // a tile's rows. x holds `lines` of the input rows, and the images are those from n0 on.
  void rows(const Pair& x, long route, Form as, long n0, long m, Span lines, long o0, long o1, long b0, long b1,
            float* out, long ld, int thread) const {
    const ShortAxis band{lines.to - lines.from, o1 - o0, vertical.pad - o0 + lines.from, vertical.by};
    const long mv = vertical.by->m, mh = horizontal.by->m;
    const long down = band.tiles(), across = horizontal.tiles(), total = m * down * across;
    const TileTransform transform{x, route > 0, as, band, horizontal, ci, false};
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
          const long tile = t0 + t, r0 = tile / across % down * mv, q0 = tile % across * mh;
          float* to = out + ((tile / across / down * (o1 - o0) + r0) * horizontal.out + q0) * ld + b * 2 * W;
          for (long z = 0; z < width; z += W)
            untile(vertical, horizontal, products + t * 2 * W + z, stepOut, to + z, ld, o1 - o0 - r0,
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
        for (long z = 0; z < width; z += W) pointsOf(w, i, b * 2 * W + z, form, d + z, width * ci, nh * width * ci);
      }
    });
  }
};

// ---- The weight gradient, and the sum over the map. Tiles of many images are transformed, then every point is a
// product of its own that adds them up, so nothing depends on who does what.
struct ShortWeights : ShortPlan {
  static constexpr long BUDGET = 3 << 19;  // floats of the transformed tiles: 6 MiB
  static constexpr long PIECE = 8;         // tiles of a task
  Form form;
  long n, kp, total, blocks, most, ldx, stepX, stepMap;
  float *X, *map, *sums;
  MapSums bias;
  ShortWeights(const Geometry& g, long routeCount)
      : ShortPlan(g, false, gradientRoutes(g, routeCount), false), form(g.form), n(g.n) {
    if (!use) return;
    kp = padded(co), ldx = panelStride(ci);
    total = n * vertical.tiles() * horizontal.tiles();
    blocks = ceilDiv(total, maxl(32, BUDGET / (points * (ldx + kp)))), most = ceilDiv(total, blocks);
    stepX = pointStride(most * ldx), stepMap = pointStride(most * kp);
    bias = MapSums(g, FLOAT, routes, 1);
  }
  void take(Bump& b) {
    if (!use) return;
    X = b.floats(points * stepX), map = b.floats(points * stepMap);
    sums = b.floats(points * ci * kp);
    bias.take(b);
  }
  // Null where nobody reads it.
  void run(const Pair& x, const Pair& g, float* dw1, float* dw2, float* db1, float* db2) const {
    if (!use) return;
    for (long r = 0; r < routes; r++)
      if ((r ? dw2 : dw1) || (r ? db2 : db1)) runRoute(x, g, r, r ? dw2 : dw1, r ? db2 : db1);
    bias.finish(db1, routes > 1 ? db2 : nullptr);
    for (long r = 0; r < routes; r++)
      for (long c = 0; c < co && (r ? db2 : db1); c++)
        (r ? db2 : db1)[c] /= vertical.by->sumScale * horizontal.by->sumScale;
  }

 private:
  void runRoute(const Pair& x, const Pair& g, long route, float* dw, float* db) const {
    const ShortAxis rows{vertical.out, vertical.out, 0, vertical.by};
    const ShortAxis columns{horizontal.out, horizontal.out, 0, horizontal.by};
    const TileTransform tileX{x, route > 0, form, vertical, horizontal, ci, false};
    const TileTransform tileMap{g, route > 0, form, rows, columns, co, true};
    for (long block = 0; block < blocks; block++) {
      const long t0 = total * block / blocks, count = total * (block + 1) / blocks - t0;
      parallelRange(count, PIECE, [&](long from, long to) {
        for (long t = from; t < to; t++) {
          if (dw) tileX.run(t0 + t, X, stepX, t, count, ldx);
          tileMap.run(t0 + t, map, stepMap, t, count, 0);
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
