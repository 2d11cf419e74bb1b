// Both weight gradients over channel lanes (panel.h): every lane adds up its own channel of x times that of the map,
// for some taps at a time in registers along a row of the map. Tasks own some channels and a share of the batch's rows,
// whose sums are added in a fixed order. Serves what panel.h does. Bound by the loads, one a multiply-add.
#pragma once
#include "../parts/partialSums.h"
#include "panel.h"

namespace bayes {
namespace ISA {

// Some taps of one vector of channels: to[tap] += the sum over `count` results of x[tap] times the map.
struct LaneTap {
  const float* x;
  float* to;
};
template <int T>
static __attribute__((noinline)) void laneSums(const LaneTap* taps, long step, const float* map, long count) {
  vf a[T];
  const float* x[T];
#pragma GCC unroll 9
  for (int t = 0; t < T; t++) a[t] = load(taps[t].to), x[t] = taps[t].x;
  for (long q = 0, at = 0; q < count; q++, at += step) {
    const vf g = load(map + q * W);
#pragma GCC unroll 9
    for (int t = 0; t < T; t++) a[t] = fma(load(x[t] + at), g, a[t]);
  }
#pragma GCC unroll 9
  for (int t = 0; t < T; t++) store(taps[t].to, a[t]);
}
static void laneSumsOf(long taps, const LaneTap* at, long step, const float* map, long count) {
  switch (taps) {
#define TAPS(T) \
  case T:       \
    return laneSums<T>(at, step, map, count);
    TAPS(1)
    TAPS(2)
    TAPS(3)
    TAPS(4) TAPS(5) TAPS(6) TAPS(7) TAPS(8) TAPS(9)
#undef TAPS
  }
}

struct ChannelLaneWeights {
  static constexpr long BUDGET = 32768, LEAST = 64;  // floats of a task's rows, and channels that it has anyway
  static constexpr long TAPS = 9;                    // most of them at a time
  const Geometry& g;
  LanePanel panel;
  MapSums sums;
  long routes, kp, splits, block, blocks, partSize, rowsSize, mapSize;
  float* part;   // [route][split][tap][c of a group][kp]
  float* local;  // [thread]: rows of the image, and of each route a row of the map [vector][column][W]

  ChannelLaneWeights(const Geometry& geo, long routeCount)
      : g(geo), panel(geo, false), routes(routeCount), kp(padded(geo.k)), partSize(geo.depth * kp) {
    block = maxl(LEAST / W, BUDGET / (routes * (panel.plane + g.wo * W)));
    blocks = ceilDiv(panel.vectors, block), block = ceilDiv(panel.vectors, blocks);
    splits = minl(maxl(1, (1L << 19) / (partSize * routes)), ceilDiv(16, blocks));  // partial sums of 2 MiB in all
    splits = minl(splits, g.n * g.ho);
    sums = MapSums(g, g.encoding, routes, splits), sums.groups = 1, sums.kg = g.k, sums.kp = kp;
    rowsSize = LaneRows::size(panel, block, routes), mapSize = block * g.wo * W;
  }
  void take(Bump& b) {
    part = b.floats(routes * splits * partSize);
    sums.take(b);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(rowsSize + routes * mapSize, 16); }

  void run(const Operands& x, const Operands& map, float* dw1, float* dw2, float* db1, float* db2) const {
    parallel(splits * blocks, [&](long task, int thread) {
      const long split = task / blocks, b = task % blocks;
      const long v0 = panel.vectors * b / blocks, v1 = panel.vectors * (b + 1) / blocks;
      const long first = g.n * g.ho * split / splits, last = g.n * g.ho * (split + 1) / splits;
      float *memory = local + thread * localSize(), *G = memory + rowsSize, *G2 = G + (routes - 1) * mapSize;
      LaneRows image(panel, x, g.encoding, v0, v1, memory);
      for (long r = 0; r < routes; r++)
        for (long i = 0; i < g.depth; i++)
          memset(part + (r * splits + split) * partSize + i * kp + v0 * W, 0, (v1 - v0) * W * sizeof(float));
      for (long row = first; row < last; row++) {
        long h0, h1;
        panel.reach(row % g.ho, h0, h1);
        image.fill(row / g.ho, h0, h1);
        withKind(map, g.encoding, [&](auto K) { mapRow<K.value>(map, row, v0, v1, G, G2); });
        LaneAhead ahead[] = {image.ahead(), {map, minl(row + 1, last - 1) * g.wo * g.k + v0 * W, 1, 0, 1, g.k, W}};
        for (long r = 0; r < routes; r++, ahead[0].count = ahead[1].count = 0) {
          const float* from = r ? G2 : G;
          for (long v = v0; v < v1 && (r ? db2 : db1); v++)
            sums.add(r, split, 0, v * W, from + (v - v0) * g.wo * W, g.wo, W, row == first);
          if (r ? dw2 : dw1) taps(image, row % g.ho, r, from, part + (r * splits + split) * partSize, ahead);
        }
      }
    });
    sums.finish(db1, db2);
    for (long r = 0; r < routes; r++)
      if (r ? dw2 : dw1)
        addSplits(part + r * splits * partSize, splits, g.depth, kp, g.k,
                  [&](long i) { return (r ? dw2 : dw1) + i * g.k; });
  }

 private:
  template <int K>
  INL void mapRow(const Operands& map, long row, long v0, long v1, float* d, float* d2) const {
    for (long q = 0; q < g.wo; q++)
      for (long v = v0; v < v1; v++) {
        vf a, b;
        elements<K>(map, (row * g.wo + q) * g.k + v * W, g.k - v * W, a, b);
        store(d + ((v - v0) * g.wo + q) * W, encoded<K>(a));
        if (K % 4 != ONE) store(d2 + ((v - v0) * g.wo + q) * W, encoded<K>(b));
      }
  }
  // Row o of the map with every tap that falls on the image.
  void taps(const LaneRows& image, long o, long r, const float* map, float* to, LaneAhead (&ahead)[2]) const {
    LaneTap all[LanePanel::MOST_TAPS], some[TAPS];
    long count = 0;
    for (long i = 0; i < g.kh; i++) {
      const long h = panel.vertical.at(o, i);
      for (long j = 0; h >= 0 && j < g.kw; j++)
        all[count++] = {image.route(r) + image.at(h) + (panel.start(0, j) - panel.first) * panel.steps * W,
                        to + (i * g.kw + j) * g.cg * kp};
    }
    const long chunks = ceilDiv(count, TAPS);
    for (long v = image.v0; v < image.v1; v++, map += g.wo * W) {
      for (LaneAhead& a : ahead) a.fetch(g.wo), a.moveBy(0, 1);
      for (long e = 0; e < panel.steps; e++)
        for (long chunk = 0; chunk < chunks; chunk++) {
          const long t0 = count * chunk / chunks, t1 = count * (chunk + 1) / chunks;
          for (long t = t0; t < t1; t++)
            some[t - t0] = {all[t].x + (v - image.v0) * panel.plane + e * W, all[t].to + e * kp + v * W};
          laneSumsOf(t1 - t0, some, g.sw * panel.steps * W, map, g.wo);
        }
    }
  }
};

}  // namespace ISA
}  // namespace bayes
