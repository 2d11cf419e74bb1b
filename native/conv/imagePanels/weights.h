// Both weight gradients of a convolution over image panels (panel.h): dw[tap][c][k] = sum over the pixels whose tap
// falls on the input of x[pixel'][c] * g[pixel][k]. The pixels of a row that a tap falls on and the images of a panel
// are one run, so nothing is multiplied with padding. Tasks own a range of channels, a range of columns and a share of
// the batch, whose sums are added in a fixed order. Serves what panel.h does. Bound by the multiply-adds; few channels
// on either side leave much packing for each.
#pragma once
#include "panel.h"
#include "../parts/partialSums.h"
#include "../parts/registerTile.h"

namespace bayes {
namespace ISA {

struct ImagePanelWeights {
  static constexpr long STEPS = 448;     // of a block: what a tile adds up in registers
  static constexpr long BUDGET = 65536;  // floats of a panel
  Encoding encoding;
  Axis vertical, horizontal;
  long n, slices, c, k, kp;           // channels of a slice, the convolution's group
  long routes, taps, perStep, units;  // units: of images that are one step of a pixel
  long tall, most, rows, bands, groups, splits, channelTasks, columnTasks, partSize, panelSize, mapSize;
  float* part;   // [route][split][slice][tap][c][kp]
  float* local;  // [thread]: of each route panels of the image and of the map, and the runs of all taps
  MapSums sums;

  ImagePanelWeights(const Geometry& g, long routeCount, Encoding as)
      : encoding(as),
        vertical(g.vertical(false)),
        horizontal(g.horizontal(false)),
        n(g.n),
        slices(g.groups),
        c(g.cg),
        k(g.kg),
        routes(routeCount),
        taps(g.kh * g.kw) {
    kp = padded(k), tall = kp == W ? TALL1 : TALL2, partSize = slices * taps * c * kp;
    // few images and some rows, or all rows and as many images as make a block
    const long few = 6;
    rows = maxl(1, minl(g.ho, STEPS / (few * g.wo)));
    bands = ceilDiv(g.ho, rows), rows = ceilDiv(g.ho, bands);
    perStep = stepsPerWord(encoding), units = ceilDiv(n, perStep);
    most = minl(units, bands > 1 ? few : maxl(few, STEPS / (g.ho * g.wo)));
    groups = ceilDiv(units, most), most = ceilDiv(units, groups);
    splits = minl(minl(maxl(1, (1L << 20) / (partSize * routes)), 16), groups * bands);  // partial sums of 4 MiB
    const long inSteps = vertical.mostReached(rows) * g.w * most, outSteps = rows * g.wo * most;
    sums = MapSums(g, encoding, routes, splits);
    const long tiles = ceilDiv(c, tall), blocks = columnBlocks(k);
    // Tasks for every thread, whose panels fit the cache: every column task packs all channels, and the other way
    // round.
    channelTasks = minl(tiles, ceilDiv(c * inSteps, BUDGET));
    columnTasks = minl(blocks, ceilDiv(kp * outSteps, BUDGET));
    long most12 = 0, least = 0;  // tasks, up to twelve; floats packed
    for (long columns = columnTasks, fewest = channelTasks; columns <= blocks; columns++) {
      const long channels = minl(tiles, maxl(fewest, ceilDiv(12, splits * slices * columns)));
      const long tasks = minl(12, splits * slices * columns * channels);
      const long packed = columns * c * inSteps + channels * kp * outSteps;
      if (tasks > most12 || (tasks == most12 && packed < least))
        most12 = tasks, least = packed, columnTasks = columns, channelTasks = channels;
    }
    panelSize = PanelTiles{ceilDiv(c, channelTasks) + tall + 1, ceilDiv(tiles, channelTasks) + 2, 0}.size(inSteps);
    mapSize = PanelTiles{ceilDiv(blocks, columnTasks) * 2 * W, ceilDiv(blocks, columnTasks), 2 * W}.size(outSteps);
  }
  void take(Bump& b) {
    part = b.floats(routes * splits * partSize);
    sums.take(b);
    local = b.floats(poolThreads() * localSize());
  }
  INL long localSize() const { return roundUp(routes * (panelSize + mapSize) + 2 * taps * rows, 16); }

  // The routes from `route` on.
  void run(const Operands& x, const Operands& map, float* dw1, float* dw2, float* db1, float* db2, long route) const {
    const bool direct = splits == 1 && slices == 1 && kp == k;  // nothing to add up, nothing to cut off
    parallel(splits * channelTasks * columnTasks * slices, [&](long task, int thread) {
      const long split = task % splits, ct = task / splits % channelTasks;
      const long kt = task / splits / channelTasks % columnTasks, slice = task / splits / channelTasks / columnTasks;
      const long tiles = ceilDiv(c, tall), c0 = c * (tiles * ct / channelTasks) / tiles;
      const long c1 = c * (tiles * (ct + 1) / channelTasks) / tiles;
      const long b0 = columnBlocks(k) * kt / columnTasks, b1 = columnBlocks(k) * (kt + 1) / columnTasks;
      const PanelTiles xs{c1 - c0, ceilDiv(c1 - c0, tall), 0};
      const PanelTiles gs{minl(k, b1 * 2 * W) - b0 * 2 * W, b1 - b0, 2 * W};
      float *X = local + thread * localSize(), *G = X + routes * panelSize;
      Run* at = reinterpret_cast<Run*>(G + routes * mapSize);
      Runs lists[MOST_PANEL_TAPS] = {};
      const long first = groups * bands * split / splits, last = groups * bands * (split + 1) / splits;
      for (long b = first; b < last; b++) {
        const long group = b / bands, band = b % bands, n0 = units * group / groups * perStep;
        const long m = minl(n, units * (group + 1) / groups * perStep) - n0;
        const long o0 = band * rows, o1 = minl(o0 + rows, vertical.out);
        ImageBlock in{n0, m, 0, 0, vertical.in, horizontal.in, slices * c, slice * c + c0, perStep, horizontal.stride};
        vertical.reach(o0, o1, in.h0, in.h1);
        const ImageBlock out{n0, m, o0, o1, vertical.out, horizontal.out, slices * k, slice * k + b0 * 2 * W, perStep};
        float *X2 = X + (routes - 1) * panelSize, *G2 = G + (routes - 1) * mapSize;
        // without the first route: both to one place, where the second is what stays
        packImages(x, encoding, in, n * vertical.in * horizontal.in * slices * c, xs, route ? X2 : X, X2);
        packImages(map, encoding, out, n * vertical.out * horizontal.out * slices * k, gs, route ? G2 : G, G2);
        for (long tap = 0; tap < taps; tap++) lists[tap] = tapRuns(tap, in, out, at + tap * rows);
        for (long r = route; r < routes; r++) {
          float *dw = r ? dw2 : dw1, *db = r ? db2 : db1;
          for (long j = 0; j < gs.count && db && ct == 0; j++)
            sums.add(r, split, slice, (b0 + j) * 2 * W, G + r * mapSize + gs.offset(j, out.steps()), out.steps(),
                     gs.width(j), b == first);
          if (!dw) continue;
          float* from =
              (direct ? dw : part + (r * splits + split) * partSize + slice * taps * c * kp) + c0 * kp + b0 * 2 * W;
          for (long j = 0; j < gs.count; j++)
            for (long t = 0; t < xs.count; t++) {  // both operands stay in the cache over all taps
              const float* w = G + r * mapSize + gs.offset(j, out.steps());
              const float* xt = X + r * panelSize + xs.offset(t, in.steps());
              float* to = from + xs.start(t) * kp + j * 2 * W;
              for (long tap = 0; tap < taps; tap++, to += c * kp) {
                const Runs list{lists[tap].at, lists[tap].count, lists[tap].steps, xs.width(t), encoding};
                if (gs.width(j) == W) tileOf<1, true>(list.scale, xt, list.scale, w, list, to, kp, b > first);
                else tileOf<2, true>(list.scale, xt, list.scale, w, list, to, kp, b > first);
              }
            }
        }
      }
    });
    sums.finish(route ? nullptr : db1, db2);
    if (direct) return;
    for (long r = route; r < routes; r++)
      if (r ? dw2 : dw1)
        addSplits(part + r * splits * partSize, splits, partSize / kp, kp, k,
                  [&](long i) { return (r ? dw2 : dw1) + i % (taps * c) * slices * k + i / (taps * c) * k; });
  }

 private:
  // Where a tap falls on the input: runs of pixels side by side, and of the images of each.
  Runs tapRuns(long tap, const ImageBlock& in, const ImageBlock& out, Run* at) const {
    const long i = tap / horizontal.taps, j = tap % horizontal.taps, each = in.stepsOfPixel();
    long from, to, count = 0;
    horizontal.span(j, from, to);
    for (long o = out.h0; o < out.h1 && from < to; o++) {
      const long h = vertical.at(o, i);
      if (h < 0) continue;
      at[count++] = {static_cast<int32_t>(((h - in.h0) * in.w + in.place(horizontal.at(from, j))) * each),
                     static_cast<int32_t>(((o - out.h0) * out.w + from) * each)};
    }
    return {at, count, (to - from) * each};
  }
};

}  // namespace ISA
}  // namespace bayes
