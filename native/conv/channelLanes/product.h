// The product over channel lanes (panel.h): every lane adds up its own channel, so a step is one multiply-add of a
// vector of inputs and a vector of weights, and a tile is some neighbouring results of a row. Forward pass and data
// gradient are both one: they differ in which input a tap reads. A task owns rows of one image and some channels, and
// the epilogue follows every row. Serves what panel.h does. Bound by the loads, one a multiply-add. Where the operand
// is the image as it lies (direct.h), no panel is made, and a plain layer's sums go straight to its output.
#pragma once
#include "../parts/epilogue.h"
#include "../parts/registerTile.h"
#include "direct.h"

namespace bayes {
namespace ISA {

// Operands of a tile over `vectors` vectors of channels: each its own plane of x, weights [depth][W], and outputs.
struct LaneTile {
  const float *x, *w;
  float* out;
  long vectors, plane, depth, stride, ld;  // stride, ld: from one result to the next, of x and of out
  Runs runs;                               // x in floats, w in vectors
};
template <int P>
static __attribute__((noinline)) void laneTile(LaneTile t, LaneAhead ahead) {
  constexpr int GROUPS = (P + 2) / 3;  // one pointer for three results: see registerTile.h
  for (long v = 0; v < t.vectors; v++, t.x += t.plane, t.w += t.depth * W, t.out += W) {
    ahead.fetch(P), ahead.moveBy(0, 1);
    vf a[P]{};
    for (long r = 0; r < t.runs.count; r++) {
      const float *row[GROUPS], *w = t.w + t.runs.at[r].w * W;
#pragma GCC unroll 6
      for (int g = 0; g < GROUPS; g++) row[g] = t.x + t.runs.at[r].x + 3 * g * t.stride;
      for (long s = 0; s < t.runs.steps; s++, w += W) {
        const vf b = load(w);
#pragma GCC unroll 16
        for (int i = 0; i < P; i++) a[i] = fma(load(row[i / 3] + i % 3 * t.stride), b, a[i]);
#pragma GCC unroll 6
        for (int g = 0; g < GROUPS; g++) row[g] += W;
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < P; i++) store(t.out + i * t.ld, a[i]);
  }
}
// `count` results, in tiles of about equal width.
static void laneTiles(long count, LaneTile t, LaneAhead ahead) {
  const long tiles = ceilDiv(count, TALL1);
  for (long i = 0, q = 0; i < tiles; i++) {
    const long n = count * (i + 1) / tiles - q;
    withHeight<TALL1>(n, [&](auto height) { laneTile<height.rows>(t, ahead); });
    q += n, t.x += n * t.stride, t.out += n * t.ld, ahead.moveBy(n, 0);
  }
}

struct ChannelLaneProduct {
  static constexpr long BUDGET = 32768, LEAST = 64;  // floats of a task's rows, and channels that it has anyway
  static constexpr long WIDE = 256;                  // most channels of a pixel that is read where it lies
  const Geometry& g;
  LanePanel panel;
  long routes, depth, block, blocks, rows, bands, ld, weightSize, rowsSize, outSize, spareSize;
  bool together;  // the taps of a kernel row are one run
  float* packed;  // [route][vector][tap][step][W]
  float* local;   // [thread]: rows of the image, of each route a row of outputs, room for the epilogue

  ChannelLaneProduct(const Geometry& geo, bool transposed, long routeCount)
      : g(geo), panel(geo, transposed), routes(routeCount) {
    const Axis& along = panel.horizontal;
    depth = g.kh * g.kw * panel.steps, weightSize = panel.vectors * depth * W;
    together = along.dilation == 1 && (!transposed || along.stride == 1);
    block = maxl(LEAST / W, BUDGET / (routes * (panel.plane + along.out * W)));
    blocks = ceilDiv(panel.vectors, block), block = ceilDiv(panel.vectors, blocks);
    // tasks for every thread, of whole pooling windows
    rows = ceilDiv(panel.vertical.out, ceilDiv(16, g.n * blocks));
    rows = minl(roundUp(rows, transposed ? 1 : g.windows.kh), panel.vertical.out);
    bands = ceilDiv(panel.vertical.out, rows);
    ld = block * W, outSize = along.out * maxl(ld, minl(panel.vectors * W, WIDE));
    rowsSize = LaneRows::size(panel, block, routes), spareSize = epilogueSpare(panel.out);
  }
  void takeWeights(Bump& b) { packed = b.floats(routes * weightSize); }
  void take(Bump& b) { local = b.floats(poolThreads() * localSize()); }
  INL long localSize() const { return roundUp(rowsSize + routes * outSize + spareSize, 16); }

  // Weights [tap][c of a group][k] of the convolution
  void pack(const float* w1, const float* w2) const {
    const bool asTheyLie = !panel.vertical.transposed || g.kg * g.cg == 1;
    parallel(routes * panel.vectors, [&](long t, int) {
      const long r = t / panel.vectors, k0 = t % panel.vectors * W, n = panel.out - k0;
      float* d = packed + t * depth * W;
      long at[W];  // where a lane's weights start
      for (long l = 0; l < W; l++) at[l] = (k0 + l) % g.cg * g.k + (k0 + l) / g.cg * g.kg;
      for (long i = 0; i < g.kh; i++)
        for (long j = 0; j < g.kw; j++) {
          const float* w = (r ? w2 : w1) + (i * g.kw + panel.tapOf(j)) * g.cg * g.k;
          for (long e = 0; e < panel.steps; e++, d += W) {
            if (asTheyLie) store(d, loadn(w + e * g.k + k0, n));
            else
              for (long l = 0; l < W; l++) d[l] = l < n ? w[at[l] + e] : 0;
          }
        }
      convertBlock(packed + t * depth * W, depth, W, g.encoding);
    });
  }

  template <class E>
  void run(const Operands& x, E epilogue) const {
    if (readsDirectly(x)) return runDirectly(x, epilogue);
    const long width = panel.horizontal.out, height = panel.vertical.out;
    parallel(g.n * bands * blocks, [&](long task, int thread) {
      const long n = task / blocks / bands, b = task % blocks;
      const long v0 = panel.vectors * b / blocks, v1 = panel.vectors * (b + 1) / blocks;
      const long c0 = v0 * W, c1 = minl(v1 * W, panel.out);
      const long o0 = task / blocks % bands * rows, o1 = minl(o0 + rows, height);
      float *memory = local + thread * localSize(), *out = memory + rowsSize, *spare = out + routes * outSize;
      float* out2 = out + (routes - 1) * outSize;
      LaneRows image(panel, x, g.encoding, v0, v1, memory);
      for (long o = o0; o < o1; o++) {
        long h0, h1;
        panel.reach(o, h0, h1);
        image.fill(n, h0, h1);
        for (long phase = 0; phase < panel.phases(); phase++) line(image, o, phase, out, out2);
        epilogue((n * height + o) * width, width, c0, c1, out - c0, out2 - c0, ld, spare);
      }
      epilogue.rowsDone(n, o0, o1, c0, c1);
    });
  }

 private:
  INL bool readsDirectly(const Operands& x) const {
    const bool made = x.activation != IDENTITY || x.kind == PRODUCT || x.kind == BOTH || g.encoding != FLOAT;
    return !made && panel.perIn == 1 && panel.perOut == 1 && panel.out % W == 0 && panel.out <= WIDE &&
           !(panel.vertical.transposed && (g.sh > 1 || g.sw > 1));
  }
  template <class E>
  void runDirectly(const Operands& x, const E& epilogue) const {
    const Axis &v = panel.vertical, &h = panel.horizontal;
    const long line = h.in * panel.in, k = panel.out;
    const long least = roundUp(ceilDiv(v.out, ceilDiv(16, g.n)), v.transposed ? 1 : g.windows.kh);
    const long height = minl(least, v.out), tasks = ceilDiv(v.out, height);
    long inner0 = 0, inner1 = h.out;
    while (inner0 < h.out && !inside(inner0)) inner0++;
    while (inner1 > inner0 && !inside(inner1 - 1)) inner1--;
    parallel(g.n * tasks, [&](long task, int thread) {
      const long n = task / tasks, o0 = task % tasks * height, o1 = minl(o0 + height, v.out);
      float *out = local + thread * localSize() + rowsSize, *out2 = out + outSize, *spare = out + routes * outSize;
      DirectRow row;
      row.bias = nullptr, row.vectors = panel.vectors, row.stride = panel.advance() * panel.in, row.depth = depth;
      row.below = line;
      for (long o = o0; o < o1; o++) {
        const long p0 = (n * v.out + o) * h.out;
        long from, to;
        panel.reach(o, from, to);
        row.next = x.a + (n * v.in + to) * line, row.belowRows = to < v.in ? panel.vertical.stride : 0;
        for (long r = 0; r < routes; r++, row.belowRows = 0) {
          row.count = 0;
          for (long i = 0; i < g.kh; i++) {
            const long at = v.at(o, i);
            for (long j = 0; at >= 0 && j < g.kw; j++)
              row.taps[row.count++] = {x.a + (n * v.in + at) * line + panel.start(0, j) * panel.in,
                                       packed + r * weightSize + (i * g.kw + j) * W, j};
          }
          row.out = r ? out2 : out, row.ld = k;
          if constexpr (E::IN_PLACE) row.out = epilogue.y + p0 * k, row.bias = epilogue.bias;
          if (r) directRow<true>(row, panel, inner0, inner1);
          else directRow<false>(row, panel, inner0, inner1);
        }
        if constexpr (E::IN_PLACE) epilogue.activated(p0, h.out, 0, k);
        else epilogue(p0, h.out, 0, k, out, out2, k, spare);
      }
      epilogue.rowsDone(n, o0, o1, 0, k);
    });
  }
  // Whether all taps of a column of results fall on the image: of neighbouring ones or none.
  INL bool inside(long q) const { return panel.horizontal.at(q, 0) >= 0 && panel.horizontal.at(q, g.kw - 1) >= 0; }
  // One phase of output row o
  void line(const LaneRows& image, long o, long phase, float* out, float* out2) const {
    const long step = panel.steps * W;
    Run at[LanePanel::MOST_TAPS];
    long count = 0;
    for (long i = 0; i < g.kh; i++) {
      const long h = panel.vertical.at(o, i);
      for (long j = 0; h >= 0 && j < (together ? 1 : g.kw); j++)
        if (panel.reads(phase, j))
          at[count++] = {static_cast<int32_t>(image.at(h) + (panel.start(phase, j) - panel.first) * step),
                         static_cast<int32_t>((i * g.kw + j) * panel.steps)};
    }
    const Runs runs{at, count, (together ? g.kw : 1) * panel.steps};
    LaneAhead ahead = image.ahead();
    for (long r = 0; r < routes; r++, ahead.count = 0)
      laneTiles(panel.results(phase),
                {image.route(r), packed + r * weightSize + image.v0 * depth * W, (r ? out2 : out) + phase * ld,
                 image.v1 - image.v0, panel.plane, depth, panel.advance() * step, panel.phases() * ld, runs},
                ahead);
  }
};

}  // namespace ISA
}  // namespace bayes
