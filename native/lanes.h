// Narrow layers: products whose vector lanes are images, [row][column][channel][image]. However few the channels, all
// lanes work. A forward pass or data gradient multiplies such a panel with broadcast weights (in a Run, x is where the
// weights start and w where the panel does); a weight gradient multiplies two panels lane by lane and adds the lanes up
// at the end. In bf16, lanes hold rounded floats.
#pragma once
#include "imageWeights.h"
#include "product.h"

namespace bayes {
namespace ISA {

constexpr long LANES = 2 * W;    // images of a panel
constexpr long LANE_PIECE = 16;  // floats of an image read at once: a cache line

// `count` floats at src of each of m images `size` apart -> d, d2 [count][LANES]; lanes beyond m are zero. Writes up to
// LANE_PIECE - 1 rows of lanes beyond.
template <int K>
static void packLanesKind(const Pair& src, long at, long size, long m, long count, float* d, float* d2) {
  alignas(64) float a[LANES * LANE_PIECE], b[LANES * LANE_PIECE];
  memset(a, 0, sizeof a), memset(b, 0, sizeof b);
  for (long x = 0; x < count; x += LANE_PIECE, d += LANE_PIECE * LANES, d2 += LANE_PIECE * LANES) {
    for (long i = 0; i < m; i++) {
      prefetch<K>(src, at + i * size + x + 2 * LANE_PIECE, LANE_PIECE);
      for (long j = 0; j < LANE_PIECE; j += W) {
        vf first{}, second{};
        if (x + j < count) elements<K>(src, at + i * size + x + j, count - x - j, first, second);
        store(a + i * LANE_PIECE + j, inForm<K>(first));
        if (K % 4 != ONE) store(b + i * LANE_PIECE + j, inForm<K>(second));
      }
    }
    for (long j = 0; j < LANE_PIECE; j += 8)
      for (long i = 0; i < LANES; i += 8) {
        transpose8(d + j * LANES + i, LANES, a + i * LANE_PIECE + j, LANE_PIECE);
        if (K % 4 != ONE) transpose8(d2 + j * LANES + i, LANES, b + i * LANE_PIECE + j, LANE_PIECE);
      }
  }
}
static inline void packLanes(const Pair& src, Form form, long at, long size, long m, long count, float* d, float* d2) {
  withKind(src, form, [&](auto K) { packLanesKind<K.value>(src, at, size, m, count, d, d2); });
}
// Whether n images fill the lanes well enough.
INL bool fillsLanes(long n) { return n * 4 >= ceilDiv(n, LANES) * LANES * 3; }

// out[i][:] = sum over the runs of w[run.x + t][i] * X[run.w + t][:], for P of `columns` columns and several pixels
// whose inputs lie `shift` rows of lanes apart. Runs may be short: all of it is one function.
template <int P>
static __attribute__((noinline)) void lanePixels(const float* w, long columns, const float* X, long shift,
                                                 const Runs& runs, long pixels, float* out, long ld) {
  for (long p = 0; p < pixels; p++, X += shift * LANES, out += ld * LANES) {
    vf a[P][2]{};
    for (long r = 0; r < runs.count; r++) {
      const float *x = w + runs.at[r].x * columns, *b = X + runs.at[r].w * LANES;
      for (long t = 0; t < runs.steps; t++, x += columns, b += LANES) {
        const vf low = load(b), high = load(b + W);
#pragma GCC unroll 6
        for (int i = 0; i < P; i++) {
          const vf xi = set1(x[i]);
          a[i][0] = fma(xi, low, a[i][0]), a[i][1] = fma(xi, high, a[i][1]);
        }
      }
    }
#pragma GCC unroll 6
    for (int i = 0; i < P; i++) store(out + i * LANES, a[i][0]), store(out + i * LANES + W, a[i][1]);
  }
}
// f(KindOf<P>()) for P in 1 .. 6
template <class F>
INL void withRows(long p, F f) {
  switch (p) {
    case 1:
      return f(KindOf<1>());
    case 2:
      return f(KindOf<2>());
    case 3:
      return f(KindOf<3>());
    case 4:
      return f(KindOf<4>());
    case 5:
      return f(KindOf<5>());
    default:
      return f(KindOf<6>());
  }
}
constexpr long LANE_ROWS = 6;

// ---- Forward, and the data gradient (transposed), with an epilogue as in product.h.
struct LaneProduct {
  static constexpr long BUDGET = 98304;  // floats of a task: panels and outputs
  static constexpr long MOST_ROWS = 64;  // of the kernel
  bool use;
  Form form;
  Axis vertical, horizontal;
  long n, ci, co, routes;
  long line, outLine, rows, bands, groups, weightSize, panelSize, imageSize, outSize, rowSize, spareSize;
  float *packed, *local;

  LaneProduct(const Geometry& g, bool transposed, long routeCount) : form(g.form), n(g.n), routes(routeCount) {
    ci = transposed ? g.k : g.c, co = transposed ? g.c : g.k;
    use = g.groups == 1 && co <= NARROW && fillsLanes(n) && g.dw == 1 && !(transposed && g.sw > 1) && g.kh <= MOST_ROWS;
    if (!use) return;
    vertical = {transposed ? g.ho : g.h, transposed ? g.h : g.ho, g.kh, g.sh, g.dh, g.top, transposed};
    horizontal = {transposed ? g.wo : g.w, transposed ? g.w : g.wo, g.kw, g.sw, 1, g.left, transposed};
    line = horizontal.in * ci, outLine = horizontal.out * co;
    groups = ceilDiv(n, LANES), rows = vertical.out;
    auto size = [&] { return (vertical.mostReached(rows) * line + rows * outLine) * LANES * routes; };
    while (rows > 1 && (size() > BUDGET || groups * ceilDiv(vertical.out, rows) < 8)) rows--;
    bands = ceilDiv(vertical.out, rows), rows = ceilDiv(vertical.out, bands);
    use = size() <= 2 * BUDGET && bands * vertical.mostReached(rows) <= 2 * vertical.in;  // little twice
    weightSize = roundUp(g.kh * g.kw * ci * co, W),
    panelSize = (vertical.mostReached(rows) * line + LANE_PIECE) * LANES;
    imageSize = panelStride(rows * outLine), outSize = LANES * imageSize + W, rowSize = outLine * LANES;
    spareSize = epilogueSpare(co);
  }
  void take(Bump& b) {
    packed = b.floats(routes * weightSize);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(routes * (panelSize + outSize) + 4 * rowSize + spareSize, 16); }

  // Weights [kh][kw][c][k] -> [kh][kw][ci][co]. A gradient reads the taps of a kernel row backwards, so that both
  // operands of a run go up.
  void pack(const float* w, float* d) const {
    const long kw = horizontal.taps;
    for (long tap = 0; tap < vertical.taps * kw; tap++) {
      const long to = vertical.transposed ? tap / kw * kw + kw - 1 - tap % kw : tap;
      for (long i = 0; i < ci; i++)
        for (long o = 0; o < co; o++)
          d[(to * ci + i) * co + o] = w[tap * ci * co + (vertical.transposed ? o * ci + i : i * co + o)];
    }
    convertBlock(d, 1, weightSize, form);
  }

  template <class E>
  void run(const Pair& x, const float* w1, const float* w2, E epilogue) const {
    for (long r = 0; r < routes; r++) pack(r ? w2 : w1, packed + r * weightSize);
    const long area = vertical.out * horizontal.out;
    parallel(groups * bands, [&](long task, int thread) {
      const long n0 = task / bands * LANES, m = minl(LANES, n - n0);
      const long o0 = task % bands * rows, o1 = minl(o0 + rows, vertical.out);
      float *X = local + thread * localSize(), *out = X + routes * panelSize, *row = out + routes * outSize;
      float* spare = row + rowSize;
      long h0, h1;
      vertical.reach(o0, o1, h0, h1);
      packLanes(x, form, (n0 * vertical.in + h0) * line, vertical.in * line, m, (h1 - h0) * line, X,
                X + (routes - 1) * panelSize);
      if constexpr (E::LANEWISE) {
        float *second = row + rowSize, *y = second + rowSize, *residue = y + rowSize;
        for (long o = o0; o < o1; o++) {
          outputs(o, h0, X, packed, row);
          outputs(o, h0, X + panelSize, packed + weightSize, second);
          for (long s = 0; s < epilogue.copies; s++) {
            epilogue.lanes(s, n0, m, o * horizontal.out, horizontal.out, row, second, y, residue);
            const long at = ((s * n + n0) * vertical.out + o) * outLine;
            if (epilogue.y) storeRow(y, m, epilogue.y + at, vertical.out * outLine);
            if (epilogue.r) storeRow(residue, m, epilogue.r + at, vertical.out * outLine);
          }
        }
        return;
      }
      for (long r = 0; r < routes; r++)
        for (long o = o0; o < o1; o++) {
          outputs(o, h0, X + r * panelSize, packed + r * weightSize, row);
          storeRow(row, m, out + r * outSize + (o - o0) * outLine, imageSize);
        }
      for (long i = 0; i < m; i++)
        epilogue((n0 + i) * area + o0 * horizontal.out, (o1 - o0) * horizontal.out, 0, co, out + i * imageSize,
                 out + (routes - 1) * outSize + i * imageSize, co, spare);
    });
  }

 private:
  // [column][co][LANES] -> the same row of m images, which lie `size` floats apart.
  void storeRow(const float* row, long m, float* to, long size) const {
    for (long c = 0; c < outLine; c += 8)
      for (long i = 0; i < m; i += 8) {
        const long images = minl(8, m - i), floats = minl(8, outLine - c);
        if (images == 8 && floats == 8) {
          transpose8(to + i * size + c, size, row + c * LANES + i, LANES);
          continue;
        }
        for (long j = 0; j < images; j++)
          for (long x = 0; x < floats; x++) to[(i + j) * size + c + x] = row[(c + x) * LANES + i + j];
      }
  }
  // The taps of a kernel row that fall on the input for output column q: [from, to) of the packed weights, which lie
  // side by side in both, the first at input column start + from.
  struct Reach {
    long start, from, to;
  };
  INL Reach reach(long q) const {
    const long start =
        q * horizontal.stride + (horizontal.transposed ? horizontal.pad + 1 - horizontal.taps : -horizontal.pad);
    return {start, maxl(0, -start), maxl(0, minl(horizontal.taps, horizontal.in - start))};
  }
  // Output row o -> row [column][co][LANES].
  void outputs(long o, long h0, const float* X, const float* w, float* row) const {
    Run at[MOST_ROWS];
    for (long q = 0, next; q < horizontal.out; q = next) {
      const Reach here = reach(q);
      for (next = q + 1; next < horizontal.out; next++)  // columns that reach over the same taps go together
        if (reach(next).from != here.from || reach(next).to != here.to) break;
      const long steps = maxl(0, here.to - here.from) * ci;
      long count = 0;
      for (long i = 0; i < vertical.taps && steps; i++) {
        const long h = vertical.at(o, i);
        if (h >= 0)
          at[count++] = {static_cast<int32_t>((i * horizontal.taps + here.from) * ci),
                         static_cast<int32_t>((h - h0) * line + (here.start + here.from) * ci)};
      }
      const long tiles = ceilDiv(co, LANE_ROWS);
      for (long t = 0; t < tiles; t++) {
        const long c = co * t / tiles;
        withRows(co * (t + 1) / tiles - c, [&](auto P) {
          lanePixels<P.value>(w + c, co, X, horizontal.stride * ci, {at, count, steps}, next - q,
                              row + (q * co + c) * LANES, co);
        });
      }
    }
  }
};

// ---- Both weight gradients, and the sums over the map (gradients of the biases).
// out[i][j][:] += x[t * xstep + i] * g[t * gstep + j] lane by lane over `steps` pixels, all in units of LANES floats.
template <int P, int Z>
static __attribute__((noinline)) void laneTile(const float* x, long xstep, const float* g, long gstep, long steps,
                                               float* out, long ld) {
  vf a[P][Z];
#pragma GCC unroll 6
  for (int i = 0; i < P; i++)
#pragma GCC unroll 2
    for (int j = 0; j < Z; j++) a[i][j] = load(out + (i * ld + j) * W);
  for (long t = 0; t < steps; t++, x += xstep * LANES, g += gstep * LANES)
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
      vf v[Z];
#pragma GCC unroll 2
      for (int j = 0; j < Z; j++) v[j] = load(g + j * LANES + half * W);
#pragma GCC unroll 6
      for (int i = 0; i < P; i++) {
        const vf xi = load(x + i * LANES + half * W);
#pragma GCC unroll 2
        for (int j = 0; j < Z; j++) a[i][j] = fma(xi, v[j], a[i][j]);
      }
    }
#pragma GCC unroll 6
  for (int i = 0; i < P; i++)
#pragma GCC unroll 2
    for (int j = 0; j < Z; j++) store(out + (i * ld + j) * W, a[i][j]);
}

struct LaneWeights {
  static constexpr long BUDGET = 65536;  // floats of a task's panels
  bool use;
  Form form;
  Axis vertical;
  long n, w, c, k, wo, kw, left, sw, routes;
  long taps, width, depth, kp, rows, bands, groups, splits, panelSize, mapSize, sumSize;
  float *part, *local;

  LaneWeights(const Geometry& g, long routeCount)
      : form(g.form),
        vertical{g.h, g.ho, g.kh, g.sh, g.dh, g.top, false},
        n(g.n),
        w(g.w),
        c(g.c),
        k(g.k),
        wo(g.wo),
        kw(g.kw),
        left(g.left),
        sw(g.sw),
        routes(routeCount) {
    taps = kw * c, width = ((wo - 1) * sw + kw) * c, depth = g.depth, kp = padded(k);
    use = g.groups == 1 && c < 5 && k <= NARROW && fillsLanes(n) && g.dw == 1 && depth * k <= 2048;
    if (!use) return;
    groups = ceilDiv(n, LANES), rows = vertical.out;
    auto size = [&] { return (vertical.mostReached(rows) * width + rows * wo * k) * LANES * routes; };
    while (rows > 1 && size() > BUDGET) rows--;
    use = size() <= 2 * BUDGET;
    bands = ceilDiv(vertical.out, rows), rows = ceilDiv(vertical.out, bands);
    splits = minl(groups * bands, 16);
    panelSize = (vertical.mostReached(rows) * width + LANE_PIECE) * LANES;
    mapSize = (rows * wo * k + LANE_PIECE) * LANES, sumSize = (depth + 1) * k * W;  // the last row: the map's own sums
  }
  void take(Bump& b) {
    part = b.floats(routes * splits * (depth + 1) * kp);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(routes * (panelSize + mapSize + sumSize), 16); }

  void run(const Pair& x, const Pair& map, float* dw1, float* dw2, float* db1, float* db2) const {
    parallel(splits, [&](long split, int thread) {
      float *X = local + thread * localSize(), *G = X + routes * panelSize, *sums = G + routes * mapSize;
      memset(sums, 0, routes * sumSize * sizeof(float));
      const long first = groups * bands * split / splits, last = groups * bands * (split + 1) / splits;
      for (long b = first; b < last; b++) {
        const long n0 = b / bands * LANES, m = minl(LANES, n - n0);
        const long o0 = b % bands * rows, o1 = minl(o0 + rows, vertical.out);
        long h0, h1;
        vertical.reach(o0, o1, h0, h1);
        packRows(x, n0, m, h0, h1, X);
        packLanes(map, form, (n0 * vertical.out + o0) * wo * k, vertical.out * wo * k, m, (o1 - o0) * wo * k, G,
                  G + (routes - 1) * mapSize);
        for (long o = o0; o < o1; o++)  // a row of the map and the rows under its windows stay in the L1 cache
          for (long r = 0; r < routes; r++) {
            const float* g = G + r * mapSize + (o - o0) * wo * k * LANES;
            float* to = sums + r * sumSize;
            for (long i = 0; i < vertical.taps && (r ? dw2 : dw1); i++)
              if (vertical.at(o, i) >= 0)
                products(X + r * panelSize + (vertical.at(o, i) - h0) * width * LANES, g, to + i * taps * k * W);
            if (r ? db2 : db1) mapSums(g, to + depth * k * W);
          }
      }
      for (long r = 0; r < routes; r++)
        for (long i = 0; i <= depth; i++)
          for (long j = 0; j < k; j++)
            part[((r * splits + split) * (depth + 1) + i) * kp + j] = sum(load(sums + r * sumSize + (i * k + j) * W));
    });
    for (long r = 0; r < routes; r++) {
      float *dw = r ? dw2 : dw1, *db = r ? db2 : db1;
      addSplits(part + r * splits * (depth + 1) * kp, splits, depth + 1, kp, k, [&](long i) {
        return i == depth ? db : dw ? dw + i * k : nullptr;
      });
    }
  }

 private:
  // Rows of the image with the zeros beside them.
  void packRows(const Pair& x, long n0, long m, long h0, long h1, float* d) const {
    const long size = vertical.in * w * c, before = minl(left * c, width), inside = minl(w * c, width - before);
    float* d2 = d + (routes - 1) * panelSize;
    for (long h = h0; h < h1; h++, d += width * LANES, d2 += width * LANES) {
      packLanes(x, form, (n0 * vertical.in + h) * w * c, size, m, inside, d + before * LANES, d2 + before * LANES);
      for (float* p = d;; p = d2) {
        memset(p, 0, before * LANES * sizeof(float));
        memset(p + (before + inside) * LANES, 0, (width - before - inside) * LANES * sizeof(float));
        if (p == d2) break;
      }
    }
  }
  // One row of the map under one kernel row.
  void products(const float* x, const float* g, float* to) const {
    const long tiles = ceilDiv(taps, LANE_ROWS);
    for (long t = 0; t < tiles; t++) {
      const long i = taps * t / tiles;
      withRows(taps * (t + 1) / tiles - i, [&](auto P) {
        long j = 0;
        for (; j + 2 <= k; j += 2)
          laneTile<P.value, 2>(x + i * LANES, sw * c, g + j * LANES, k, wo, to + (i * k + j) * W, k);
        if (j < k) laneTile<P.value, 1>(x + i * LANES, sw * c, g + j * LANES, k, wo, to + (i * k + j) * W, k);
      });
    }
  }
  void mapSums(const float* g, float* to) const {
    for (long t = 0; t < wo; t++)
      for (long j = 0; j < k; j++, g += LANES) store(to + j * W, load(to + j * W) + (load(g) + load(g + W)));
  }
};

}  // namespace ISA
}  // namespace bayes
