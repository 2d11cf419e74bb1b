// Both weight gradients with the images in the lanes (lanes.h), and the sums over the map, which are the gradients of
// the biases: two panels are multiplied lane by lane, and the lanes added up at the end. A pooled gradient is put back
// in the lanes. Serves one group without dilation across; the sums of all weights, a vector each, should stay in the L1
// cache. Bound by the FMA ports.
#pragma once
#include "../parts/geometry.h"
#include "../parts/partialSums.h"
#include "lanes.h"
#include "../parts/pooling.h"

namespace bayes {
namespace ISA {

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

struct ImageLaneWeights {
  static constexpr long BUDGET = 65536;  // floats of a task's panels
  Encoding encoding;
  Axis vertical;
  PoolWindows pool;
  long n, w, c, k, wo, kw, left, sw, routes;
  long taps, width, depth, kp, rows, bands, groups, splits, panelSize, mapSize, pooledSize, sumSize;
  float* part;   // [route][split][tap, and the map's sum][kp]
  float* local;  // [thread]: panels [row][column][c][LANES], the map [row][column][k][LANES], sums [tap][k][W]

  ImageLaneWeights(const Geometry& g, long routeCount)
      : encoding(g.encoding),
        vertical(g.vertical(false)),
        pool(g.windows),
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
    groups = ceilDiv(n, LANES), rows = roundUp(vertical.out, pool.kh);  // whole windows, and what is left
    while (rows > pool.kh && size() > BUDGET) rows -= pool.kh;
    bands = ceilDiv(vertical.out, rows), rows = roundUp(ceilDiv(vertical.out, bands), pool.kh);
    bands = ceilDiv(vertical.out, rows);
    splits = minl(groups * bands, 16);
    panelSize = (vertical.mostReached(rows) * width + LANE_PIECE) * LANES;
    mapSize = (rows * wo * k + LANE_PIECE) * LANES;
    pooledSize = pool.use() ? (rows / pool.kh * pool.columns * k + LANE_PIECE) * LANES : 0;
    sumSize = (depth + 1) * k * W;  // the last row: the map's own sums
  }
  static bool serves(const Geometry& g) { return g.groups == 1 && g.dw == 1; }
  INL long size() const { return (vertical.mostReached(rows) * width + rows * wo * k) * LANES * routes; }
  bool fits() const { return size() <= 2 * BUDGET; }  // whether a task fits the cache
  void take(Bump& b) {
    part = b.floats(routes * splits * (depth + 1) * kp);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const {
    return roundUp(routes * (panelSize + mapSize + sumSize) + (routes + 1) * pooledSize, 16);
  }

  // `where`: the map is pooled; else null.
  void run(const Operands& x, const Operands& map, const uint8_t* where, float* dw1, float* dw2, float* db1,
           float* db2) const {
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
        if (where) unpoolLanes(map, where, n0, m, o0, o1, G, sums + routes * sumSize);
        else
          packLanes(map, encoding, (n0 * vertical.out + o0) * wo * k, vertical.out * wo * k, m, (o1 - o0) * wo * k, G,
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
  // Rows [o0, o1) of the map, from the pooled one: in the lanes there are neither tails nor neighbours.
  void unpoolLanes(const Operands& map, const uint8_t* where, long n0, long m, long o0, long o1, float* G,
                   float* spare) const {
    const long kh = pool.kh, kw = pool.kw, columns = pool.columns, first = o0 / kh;
    const long windows = minl(ceilDiv(o1, kh), pool.rows) - first, count = maxl(0, windows) * columns * k;
    const long at = n0 * pool.size + first * columns * k;
    float *pooled = spare, *winners = spare + routes * pooledSize;
    packLanes(map, encoding, at, pool.size, m, count, pooled, pooled + (routes - 1) * pooledSize);
    packBytes(where + at, pool.size, m, count, winners);
    if (columns * kw < wo || windows * kh < o1 - o0)
      for (long r = 0; r < routes; r++) memset(G + r * mapSize, 0, (o1 - o0) * wo * k * LANES * sizeof(float));
    const long pixel = k * LANES;
    for (long r = 0; r < routes; r++)
      for (long row = 0; row < windows; row++) {
        const float *from = pooled + r * pooledSize + row * columns * pixel, *which = winners + row * columns * pixel;
        float* to = G + r * mapSize + row * kh * wo * pixel;
        withWindow(pool, false, [&](auto KH, auto KW, auto) {
          unpoolRow<KH.value, KW.value>(from, which, columns, pixel, wo * pixel, to, kh, kw);
        });
      }
  }
  template <int KH, int KW>
  static void unpoolRow(const float* from, const float* which, long columns, long pixel, long line, float* to, long kh,
                        long kw) {
    if (KH) kh = KH, kw = KW;
    for (long p = 0; p < columns; p++, from += pixel, which += pixel, to += kw * pixel)
      for (long c = 0; c < pixel; c += W) {
        const vi value = asInt(load(from + c)), winner = asInt(load(which + c));
        for (long i = 0; i < kh; i++)
          for (long j = 0; j < kw; j++) {
            const vi hit = winner == set1i(static_cast<int32_t>(i * kw + j));
            store(to + i * line + j * pixel + c, asFloat(value & hit));
          }
      }
  }
  // Rows of the image with the zeros beside them.
  void packRows(const Operands& x, long n0, long m, long h0, long h1, float* d) const {
    const long size = vertical.in * w * c, before = minl(left * c, width), inside = minl(w * c, width - before);
    float* d2 = d + (routes - 1) * panelSize;
    for (long h = h0; h < h1; h++, d += width * LANES, d2 += width * LANES) {
      packLanes(x, encoding, (n0 * vertical.in + h) * w * c, size, m, inside, d + before * LANES, d2 + before * LANES);
      for (float* p = d;; p = d2) {
        memset(p, 0, before * LANES * sizeof(float));
        memset(p + (before + inside) * LANES, 0, (width - before - inside) * LANES * sizeof(float));
        if (p == d2) break;
      }
    }
  }
  // One row of the map under one kernel row.
  void products(const float* x, const float* g, float* to) const {
    const long blocks = ceilDiv(taps, LANE_ROWS);
    for (long t = 0; t < blocks; t++) {
      const long i = taps * t / blocks;
      withRows(taps * (t + 1) / blocks - i, [&](auto P) {
        long j = 0;
        for (; j + 2 <= k; j += 2)
          laneTile<P.value, 2>(x + i * LANES, sw * c, g + j * LANES, k, wo, to + (i * k + j) * W, k);
        if (j < k) laneTile<P.value, 1>(x + i * LANES, sw * c, g + j * LANES, k, wo, to + (i * k + j) * W, k);
      });
    }
  }
  // Channel by channel, or each sum would wait for the one before it in memory.
  void mapSums(const float* g, float* to) const {
    for (long j = 0; j < k; j++) {
      vf a{}, b{};
      for (long t = 0; t < wo; t++) {
        const float* at = g + (t * k + j) * LANES;
        a = a + load(at), b = b + load(at + W);
      }
      store(to + j * W, load(to + j * W) + (a + b));
    }
  }
};

}  // namespace ISA
}  // namespace bayes
