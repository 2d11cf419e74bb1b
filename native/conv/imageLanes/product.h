// Forward pass and data gradient (transposed) with the images in the lanes: [row][column][channel][image]. However few
// the channels, all lanes work. A panel is multiplied with broadcast weights (lanes.h), its first route by Winograd
// where it may (winograd.h); noise, activation and pooling of a Bayesian layer are lane by lane too, so its map never
// lies in memory. In bf16, lanes hold rounded floats. Serves one group without dilation across, and gradients of stride
// 1 across. Bound by the multiply-adds and, forward, by the normals.
#pragma once
#include "../parts/epilogue.h"
#include "../parts/pooling.h"
#include "../../vector/transpose.h"
#include "bands.h"
#include "winograd.h"

namespace bayes {
namespace ISA {

struct ImageLaneProduct : LaneBands {
  static constexpr long PIECE = 1536;  // floats of a few windows' moments
  Encoding encoding;
  WinogradLanes winograd;  // of the first route
  long weightSize, panelSize, imageSize, outSize, rowSize, spareSize;
  long piece, pieceSize;  // windows at a time
  float* packed;          // [route][kh][kw][ci][co]
  float* local;           // [thread]: panels [row][column][ci][LANES], means, and outputs or windows at a time

  ImageLaneProduct(const Geometry& g, bool transposed, long routeCount, const WinogradLanes& first)
      : LaneBands(g, transposed, routeCount, first.tall), encoding(g.encoding), winograd(first) {
    weightSize = roundUp(g.kh * g.kw * ci * co, W),
    panelSize = (vertical.mostReached(rows) * line + LANE_PIECE) * LANES;
    imageSize = panelStride(rows * outLine), outSize = LANES * imageSize + W, rowSize = outLine * LANES;
    spareSize = epilogueSpare(co);
    // windows whose rows are whole vectors, if there are as many, when they are stored
    piece = maxl(1, PIECE / (pool.kh * pool.kw * co * LANES));
    while (piece > 1 && piece * co % 8 && piece < pool.columns) piece--;
    piece = minl(piece, pool.columns), pieceSize = pool.kh * pool.kw * piece * co * LANES;
  }
  void takeWeights(Bump& b) {
    packed = b.floats(routes * weightSize);
    winograd.takeWeights(b);
  }
  void take(Bump& b) { local = b.floats(poolThreads() * localSize()); }
  INL long meansSize() const { return winograd.use ? unit * rowSize + winograd.spareSize() : 0; }
  INL long localSize() const {
    const long sums = maxl(routes * outSize + rowSize + spareSize, 6 * pieceSize + 16 * LANES);
    return roundUp(routes * panelSize + meansSize() + sums, 16);
  }

  // Weights [kh][kw][c][k] -> [kh][kw][ci][co]. A gradient reads the taps of a kernel row backwards, so that both
  // operands of a run go up.
  void packRoute(const float* w, float* d) const {
    const long kw = horizontal.taps;
    for (long tap = 0; tap < vertical.taps * kw; tap++) {
      const long to = vertical.transposed ? tap / kw * kw + kw - 1 - tap % kw : tap;
      for (long i = 0; i < ci; i++)
        for (long o = 0; o < co; o++)
          d[(to * ci + i) * co + o] = w[tap * ci * co + (vertical.transposed ? o * ci + i : i * co + o)];
    }
    convertBlock(d, 1, weightSize, encoding);
  }
  void pack(const float* w1, const float* w2) const {
    if (winograd.use) winograd.pack(w1);
    for (long r = winograd.use; r < routes; r++) packRoute(r ? w2 : w1, packed + r * weightSize);
  }

  template <class E>
  void run(const Operands& x, E epilogue) const {
    const long area = vertical.out * horizontal.out;
    parallel(groups * bands, [&](long task, int thread) {
      const long n0 = task / bands * LANES, m = minl(LANES, n - n0);
      const long o0 = task % bands * rows, o1 = minl(o0 + rows, height);
      float *X = local + thread * localSize(), *means = X + routes * panelSize;
      float *out = means + meansSize(), *row = out + routes * outSize, *spare = row + rowSize;
      long h0, h1;
      vertical.reach(o0, minl(o0 + roundUp(o1 - o0, unit), vertical.out), h0, h1);
      packLanes(x, encoding, (n0 * vertical.in + h0) * line, vertical.in * line, m, (h1 - h0) * line, X,
                X + (routes - 1) * panelSize);
      const Band band{n0, m, o0, o1, h0, h1};
      if constexpr (E::LANEWISE) return lanewise(epilogue, band, X, means, out);
      for (long r = 0; r < routes; r++)
        for (long o = o0; o < o1; o++) {
          const float* sums = row;
          if (r == 0 && winograd.use) sums = firstRoute(band, o, X, means);
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
  // Row o of the first route by windows; rows are asked for in order, and come `unit` at a time.
  float* firstRoute(const Band& b, long o, const float* X, float* means) const {
    const long at = o % unit;
    for (long i = 0; i < unit && at == 0 && o + i < b.o1; i += winograd.tall)
      winograd.rows(X, b.h0, b.h1, o + i, vertical.out - o - i, means + i * rowSize, means + unit * rowSize);
    return means + at * rowSize;
  }
  // Some windows at a time: moments, samples and the largest of each window stay in the L1 cache, and all of them in
  // the lanes.
  template <class E>
  void lanewise(const E& epilogue, const Band& b, const float* X, float* means, float* moments) const {
    auto draws = epilogue.draws(0, b.n0, b.m);
    const bool shared = epilogue.copies > 1;
    const long kh = pool.kh, kw = pool.kw, all = pool.columns;
    float *second = moments + pieceSize, *y = second + pieceSize, *residue = y + pieceSize;
    float *winners = residue + pieceSize, *bytes = winners + pieceSize;
    for (long o = b.o0; o < b.o1; o += kh) {
      float* first[MOST_LANE_ROWS];
      for (long i = 0; i < kh && winograd.use; i++) first[i] = firstRoute(b, o + i, X, means);
      for (long p = 0; p < all; p += piece) {
        const long windows = minl(piece, all - p), columns = windows * kw, step = columns * co * LANES;
        float* mean[MOST_LANE_ROWS];
        for (long i = 0; i < kh; i++) {
          const long q = p * kw;
          mean[i] = winograd.use ? first[i] + q * co * LANES : moments + i * step;
          if (!winograd.use) outputs(o + i, q, q + columns, b.h0, X, packed, mean[i]);
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
          const long count = windows * co, to = (s * n + b.n0) * pool.size + (o / kh * all + p) * co;
          if (pool.use()) {
            withWindow(pool, epilogue.pool.where || epilogue.r, [&](auto KH, auto KW, auto GRADIENT) {
              largest<KH.value, KW.value, GRADIENT.value>(y, residue, step, windows, winners);
            });
            if (epilogue.pool.where) storeWhere(winners, count, b.m, epilogue.pool.where + to, bytes);
          }
          epilogue.activate(y, count * LANES);
          if (epilogue.y) storeRow(y, count, b.m, epilogue.y + to, pool.size);
          if (epilogue.r) storeRow(residue, count, b.m, epilogue.r + to, pool.size);
        }
      }
    }
  }
  // Of kh rows of y and r, `step` floats apart, the largest of each window in place of the first row, and which it was.
  template <int KH, int KW, bool GRADIENT>
  void largest(float* y, float* residue, long step, long windows, float* winners) const {
    const long pixel = co * LANES, kh = pool.kh, kw = KW ? KW : pool.kw;
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
        storeBytes(where + i * pool.size + x, asInt(load(rows + i * stride + x)), count - x);
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
    Run at[MOST_LANE_ROWS];
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
      const long blocks = ceilDiv(co, LANE_ROWS);
      for (long t = 0; t < blocks; t++) {
        const long c = co * t / blocks;
        withRows(co * (t + 1) / blocks - c, [&](auto P) {
          lanePixels<P.value>(w + c, co, X, horizontal.stride * ci, {at, count, steps}, next - q,
                              row + ((q - q0) * co + c) * LANES, co);
        });
      }
    }
  }
};

}  // namespace ISA
}  // namespace bayes
