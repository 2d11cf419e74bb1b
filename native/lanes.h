// Narrow layers: products whose vector lanes are images, [row][column][channel][image]. However few the channels, all
// lanes work. A forward pass or data gradient multiplies such a panel with broadcast weights (lanePixels.h), a forward
// pass with fewer multiplications where it may (shortLanes.h); a weight gradient multiplies two panels lane by lane and
// adds the lanes up at the end. In bf16, lanes hold rounded floats.
#pragma once
#include "imageWeights.h"
#include "pooled.h"
#include "product.h"
#include "shortLanes.h"

namespace bayes {
namespace ISA {

// ---- Forward, and the data gradient (transposed), with an epilogue as in product.h.
struct LaneProduct {
  static constexpr long BUDGET = 98304;  // floats of a task: panels and outputs
  static constexpr long MOST_ROWS = 64;  // of the kernel
  static constexpr long PIECE = 1536;    // floats of a few windows' moments
  bool use;
  Form form;
  Axis vertical, horizontal;
  long n, ci, co, routes;
  ShortLanes fast;  // of the first route
  long unit;        // rows of whole windows and whole tiles
  Tiles tiles;      // windows of 1x1 where nothing is pooled
  long line, outLine, height, rows, bands, groups, weightSize, panelSize, imageSize, outSize, rowSize, spareSize;
  long piece, pieceSize;  // windows at a time
  float *packed, *local;

  LaneProduct(const Geometry& g, bool transposed, long routeCount, const ShortPlan& plan)
      : form(g.form), n(g.n), routes(routeCount), fast(g, plan) {
    ci = transposed ? g.k : g.c, co = transposed ? g.c : g.k;
    use = g.groups == 1 && co <= (transposed ? NARROW : LANE_WIDTH) && fillsLanes(n) && g.dw == 1 &&
          !(transposed && g.sw > 1) && g.kh <= MOST_ROWS && g.tiles.kh <= MOST_ROWS;
    if (!use) return;
    vertical = {transposed ? g.ho : g.h, transposed ? g.h : g.ho, g.kh, g.sh, g.dh, g.top, transposed};
    horizontal = {transposed ? g.wo : g.w, transposed ? g.w : g.wo, g.kw, g.sw, 1, g.left, transposed};
    line = horizontal.in * ci, outLine = horizontal.out * co;
    tiles = {1, 1, vertical.out, horizontal.out, co};
    if (g.tiles.use() && !transposed) tiles = g.tiles;
    if (transposed) fast.use = false;
    unit = leastCommon(tiles.kh, fast.use ? fast.tall : 1);
    groups = ceilDiv(n, LANES), height = tiles.rows * tiles.kh, rows = roundUp(height, unit);
    auto size = [&] { return (vertical.mostReached(rows) * line + rows * outLine) * LANES * routes; };
    while (rows > unit && (size() > BUDGET || groups * ceilDiv(height, rows) < 8)) rows -= unit;
    bands = ceilDiv(height, rows), rows = roundUp(ceilDiv(height, bands), unit), bands = ceilDiv(height, rows);
    use = size() <= 2 * BUDGET && bands * vertical.mostReached(rows) <= 2 * vertical.in;  // little twice
    weightSize = roundUp(g.kh * g.kw * ci * co, W),
    panelSize = (vertical.mostReached(rows) * line + LANE_PIECE) * LANES;
    imageSize = panelStride(rows * outLine), outSize = LANES * imageSize + W, rowSize = outLine * LANES;
    spareSize = epilogueSpare(co);
    // windows whose rows are whole vectors, if there are as many, when they are stored
    piece = maxl(1, PIECE / (tiles.kh * tiles.kw * co * LANES));
    while (piece > 1 && piece * co % 8 && piece < tiles.columns) piece--;
    piece = minl(piece, tiles.columns), pieceSize = tiles.kh * tiles.kw * piece * co * LANES;
  }
  void take(Bump& b) {
    packed = b.floats(routes * weightSize);
    fast.take(b);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const {
    const long means = fast.use ? unit * rowSize + fast.spareSize() : 0;
    return roundUp(
        routes * panelSize + means + maxl(routes * outSize + rowSize + spareSize, 6 * pieceSize + 16 * LANES), 16);
  }

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
    if (fast.use) fast.pack(w1);
    for (long r = fast.use; r < routes; r++) pack(r ? w2 : w1, packed + r * weightSize);
    const long area = vertical.out * horizontal.out;
    parallel(groups * bands, [&](long task, int thread) {
      const long n0 = task / bands * LANES, m = minl(LANES, n - n0);
      const long o0 = task % bands * rows, o1 = minl(o0 + rows, height);
      float *X = local + thread * localSize(), *means = X + routes * panelSize;
      float* out = means + (fast.use ? unit * rowSize + fast.spareSize() : 0);
      float *row = out + routes * outSize, *spare = row + rowSize;
      long h0, h1;
      vertical.reach(o0, minl(o0 + roundUp(o1 - o0, unit), vertical.out), h0, h1);
      packLanes(x, form, (n0 * vertical.in + h0) * line, vertical.in * line, m, (h1 - h0) * line, X,
                X + (routes - 1) * panelSize);
      const Band band{n0, m, o0, o1, h0, h1};
      if constexpr (E::LANEWISE) return lanewise(epilogue, band, X, means, out);
      for (long r = 0; r < routes; r++)
        for (long o = o0; o < o1; o++) {
          const float* sums = row;
          if (r == 0 && fast.use) sums = firstRoute(band, o, X, means);
          else outputs(o, 0, horizontal.out, h0, X + r * panelSize, packed + r * weightSize, row);
          storeRow(sums, outLine, m, out + r * outSize + (o - o0) * outLine, imageSize);
        }
      for (long i = 0; i < m; i++) {
        epilogue((n0 + i) * area + o0 * horizontal.out, (o1 - o0) * horizontal.out, 0, co, out + i * imageSize,
                 out + (routes - 1) * outSize + i * imageSize, co, spare);
        epilogue.rowsDone(n0 + i, o0, o1, 0, co);
      }
    });
  }

 private:
  // Output rows [o0, o1) of m images from n0 on, which read the rows [h0, h1).
  struct Band {
    long n0, m, o0, o1, h0, h1;
  };
  // Row o of the first route by tiles; rows are asked for in order, and come `unit` at a time.
  float* firstRoute(const Band& b, long o, const float* X, float* means) const {
    const long at = o % unit;
    for (long i = 0; i < unit && at == 0 && o + i < b.o1; i += fast.tall)
      fast.rows(X, b.h0, b.h1, o + i, vertical.out - o - i, means + i * rowSize, means + unit * rowSize);
    return means + at * rowSize;
  }
  // Some windows at a time: moments, samples and the largest of each window stay in the L1 cache, and all of them in
  // the lanes.
  template <class E>
  void lanewise(const E& epilogue, const Band& b, const float* X, float* means, float* moments) const {
    auto draws = epilogue.draws(0, b.n0, b.m);
    const bool shared = epilogue.copies > 1;
    const long kh = tiles.kh, kw = tiles.kw, all = tiles.columns;
    float *second = moments + pieceSize, *y = second + pieceSize, *residue = y + pieceSize;
    float *winners = residue + pieceSize, *bytes = winners + pieceSize;
    for (long o = b.o0; o < b.o1; o += kh) {
      float* first[MOST_ROWS];
      for (long i = 0; i < kh && fast.use; i++) first[i] = firstRoute(b, o + i, X, means);
      for (long p = 0; p < all; p += piece) {
        const long windows = minl(piece, all - p), columns = windows * kw, step = columns * co * LANES;
        float* mean[MOST_ROWS];
        for (long i = 0; i < kh; i++) {
          const long q = p * kw;
          mean[i] = fast.use ? first[i] + q * co * LANES : moments + i * step;
          if (!fast.use) outputs(o + i, q, q + columns, b.h0, X, packed, mean[i]);
          outputs(o + i, q, q + columns, b.h0, X + panelSize, packed + weightSize, second + i * step);
          if (shared) epilogue.finishLanes(columns, mean[i], second + i * step);
        }
        for (long s = 0; s < epilogue.copies; s++) {
          if (shared) draws = epilogue.draws(s, b.n0, b.m);
          for (long i = 0, at = 0; i < kh; i++, at += step) {
            const long pixel = (o + i) * horizontal.out + p * kw;
            if (shared)
              epilogue.template lanes<true>(draws, pixel, columns, mean[i], second + at, y + at, residue + at);
            else epilogue.template lanes<false>(draws, pixel, columns, mean[i], second + at, y + at, residue + at);
          }
          const long count = windows * co, to = (s * n + b.n0) * tiles.size + (o / kh * all + p) * co;
          if (tiles.use()) {
            withWindow(tiles, epilogue.pool.where || epilogue.r, [&](auto KH, auto KW, auto GRADIENT) {
              largest<KH.value, KW.value, GRADIENT.value>(y, residue, step, windows, winners);
            });
            if (epilogue.pool.where) storeWhere(winners, count, b.m, epilogue.pool.where + to, bytes);
          }
          epilogue.activate(y, count * LANES);
          if (epilogue.y) storeRow(y, count, b.m, epilogue.y + to, tiles.size);
          if (epilogue.r) storeRow(residue, count, b.m, epilogue.r + to, tiles.size);
        }
      }
    }
  }
  // Of kh rows of y and r, `step` floats apart, the largest of each window in place of the first row, and which it was.
  template <int KH, int KW, bool GRADIENT>
  void largest(float* y, float* residue, long step, long windows, float* winners) const {
    const long pixel = co * LANES, kh = tiles.kh, kw = KW ? KW : tiles.kw;
    for (long p = 0; p < windows; p++)
      for (long c = 0; c < pixel; c += W) {
        const long at = p * kw * pixel + c, to = p * pixel + c;
        const Winner winner = winnerOf<KH, KW, GRADIENT>(y + at, residue + at, step, pixel, kh, kw);
        store(y + to, winner.best);
        if (GRADIENT) store(residue + to, winner.residue), store(winners + to, asFloat(winner.where));
      }
  }
  void storeWhere(const float* winners, long count, long m, uint8_t* where, float* rows) const {
    const long stride = roundUp(count, 16);
    storeRow(winners, count, m, rows, stride);
    for (long i = 0; i < m; i++)
      for (long x = 0; x < count; x += W)
        storeBytes(where + i * tiles.size + x, asInt(load(rows + i * stride + x)), count - x);
  }
  // `count` rows of lanes -> as many floats of each of m images, which lie `size` floats apart.
  static void storeRow(const float* row, long count, long m, float* to, long size) {
    for (long c = 0; c < count; c += 8)
      for (long i = 0; i < m; i += 8) {
        const long images = minl(8, m - i), floats = minl(8, count - c);
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
  // Columns [q0, q1) of output row o -> row [column][co][LANES].
  void outputs(long o, long q0, long q1, long h0, const float* X, const float* w, float* row) const {
    Run at[MOST_ROWS];
    for (long q = q0, next; q < q1; q = next) {
      const Reach here = reach(q);
      for (next = q + 1; next < q1; next++)  // columns that reach over the same taps go together
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
                              row + ((q - q0) * co + c) * LANES, co);
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
  Tiles tiles;
  long n, w, c, k, wo, kw, left, sw, routes;
  long taps, width, depth, kp, rows, bands, groups, splits, panelSize, mapSize, pooledSize, sumSize;
  float *part, *local;

  LaneWeights(const Geometry& g, long routeCount)
      : form(g.form),
        vertical{g.h, g.ho, g.kh, g.sh, g.dh, g.top, false},
        tiles(g.tiles),
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
    groups = ceilDiv(n, LANES), rows = roundUp(vertical.out, tiles.kh);  // whole windows, and what is left
    auto size = [&] { return (vertical.mostReached(rows) * width + rows * wo * k) * LANES * routes; };
    while (rows > tiles.kh && size() > BUDGET) rows -= tiles.kh;
    use = size() <= 2 * BUDGET;
    bands = ceilDiv(vertical.out, rows), rows = roundUp(ceilDiv(vertical.out, bands), tiles.kh);
    bands = ceilDiv(vertical.out, rows);
    splits = minl(groups * bands, 16);
    panelSize = (vertical.mostReached(rows) * width + LANE_PIECE) * LANES;
    mapSize = (rows * wo * k + LANE_PIECE) * LANES;
    pooledSize = tiles.use() ? (rows / tiles.kh * tiles.columns * k + LANE_PIECE) * LANES : 0;
    sumSize = (depth + 1) * k * W;  // the last row: the map's own sums
  }
  void take(Bump& b) {
    part = b.floats(routes * splits * (depth + 1) * kp);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const {
    return roundUp(routes * (panelSize + mapSize + sumSize) + (routes + 1) * pooledSize, 16);
  }

  // `where`: the map is pooled; else null.
  void run(const Pair& x, const Pair& map, const uint8_t* where, float* dw1, float* dw2, float* db1, float* db2) const {
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
  // Rows [o0, o1) of the map, from the pooled one: in the lanes there are neither tails nor neighbours.
  void unpoolLanes(const Pair& map, const uint8_t* where, long n0, long m, long o0, long o1, float* G,
                   float* spare) const {
    const long kh = tiles.kh, kw = tiles.kw, columns = tiles.columns, first = o0 / kh;
    const long windows = minl(ceilDiv(o1, kh), tiles.rows) - first, count = maxl(0, windows) * columns * k;
    const long at = n0 * tiles.size + first * columns * k;
    float *pooled = spare, *winners = spare + routes * pooledSize;
    packLanes(map, form, at, tiles.size, m, count, pooled, pooled + (routes - 1) * pooledSize);
    packBytes(where + at, tiles.size, m, count, winners);
    if (columns * kw < wo || windows * kh < o1 - o0)
      for (long r = 0; r < routes; r++) memset(G + r * mapSize, 0, (o1 - o0) * wo * k * LANES * sizeof(float));
    const long pixel = k * LANES;
    for (long r = 0; r < routes; r++)
      for (long row = 0; row < windows; row++) {
        const float *from = pooled + r * pooledSize + row * columns * pixel, *which = winners + row * columns * pixel;
        float* to = G + r * mapSize + row * kh * wo * pixel;
        if (kh == 2 && kw == 2) unpoolRow<2, 2>(from, which, columns, pixel, wo * pixel, to, kh, kw);
        else unpoolRow<0, 0>(from, which, columns, pixel, wo * pixel, to, kh, kw);
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
