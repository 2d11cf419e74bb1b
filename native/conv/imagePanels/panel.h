// Panels of several images side by side: [pixel][image][channels]. A register tile is then the same pixel of several
// images, so the taps that fall on padding are the same for all of its rows and are left out, and a data gradient is a
// product like any other: every input pixel reads the outputs whose windows hold it, and nothing is scattered.
// Groups are slices of the channels, each a product of its own. Serves kernels of at most 256 taps, and groups of a
// multiple of 4 channels on both sides. Bound by the multiply-adds.
#pragma once
#include "../parts/columns.h"
#include "../parts/geometry.h"
#include "../parts/operands.h"

namespace bayes {
namespace ISA {

// The columns of a panel in tiles, each a matrix of its own, [step][its columns]; widest > 0: tiles of that width and a
// padded last one, else of about equal widths.
struct PanelTiles {
  long columns, count, widest;
  INL long start(long t) const { return widest ? t * widest : columns * t / count; }
  INL long width(long t) const { return widest ? minl(widest, padded(columns) - t * widest) : start(t + 1) - start(t); }
  INL long offset(long t, long steps) const { return start(t) * steps + t * W; }  // W: what a step may write beyond
  INL long size(long steps) const { return (widest ? padded(columns) : columns) * steps + count * W; }
};

// Pixels [h0, h1) x [0, w) of images n0 .. n0 + m of src [n, h, w, c], channels c0 .. c0 + tiles.columns. A step is the
// pixel of `perStep` images, 1 or (PAIRS_OF_RUNS) 2. The columns of an image lie phase by phase: 0, phases, 2 phases,
// …, then 1, 1 + phases, …, so that those that a strided tap falls on are side by side.
struct ImageBlock {
  long n0, m, h0, h1, h, w, c, c0, perStep = 1, phases = 1;
  INL long stepsOfPixel() const { return ceilDiv(m, perStep); }
  INL long steps() const { return (h1 - h0) * w * stepsOfPixel(); }
  INL long place(long column) const {  // in its row
    const long phase = column % phases;
    return phase * (w / phases) + minl(phase, w % phases) + column / phases;
  }
  template <class F>
  INL void eachPixel(F f) const {  // of the first image: where it starts, in the panel's order
    for (long row = h0; row < h1; row++)
      for (long phase = 0; phase < phases; phase++)
        for (long column = phase; column < w; column += phases) f(((n0 * h + row) * w + column) * c + c0);
  }
};
constexpr long MOST_PANEL_TAPS = 256;
constexpr long STRIP = 16;        // tiles written side by side
constexpr long PIXELS_AHEAD = 2;  // fetched early: the streams of several images are more than a CPU follows by itself
template <int K>
static void packImagesKind(const Operands& src, const ImageBlock& b, long end, const PanelTiles& tiles, float* d,
                           float* d2) {
  constexpr int ENCODING = K / ENCODING_STEP;
  constexpr long PER = ENCODING == PAIRS_OF_RUNS ? 2 : 1;
  const long steps = b.steps(), image = b.h * b.w * b.c, ahead = PIXELS_AHEAD * b.phases * b.c;
  const auto copy = [&](long at, long next, float* o, float* o2, long n) {
    if (PER == 1) copyRun<K>(src, at, o, o2, n);
    else copyRuns<K>(src, at, next, o, o2, n);
  };
  if (tiles.count == 1) {
    const long width = ceilDiv(tiles.width(0), ENCODING == PAIRS ? 2 : 1);
    b.eachPixel([&](long at) {
      for (long i = 0; i < b.m; i += PER, at += PER * image, d += width, d2 += width) {
        prefetch<K>(src, at + ahead, tiles.columns);
        copy(at, i + 1 < b.m ? image : 0, d, d2, tiles.columns);
      }
    });
    return;
  }
  // Every pixel is read once; a strip of its channels goes to as many tiles.
  for (long strip = 0; strip < tiles.count; strip += STRIP) {
    long from[STRIP], to[STRIP], width[STRIP], n[STRIP];
    const long count = minl(STRIP, tiles.count - strip);
    for (long t = 0; t < count; t++) {
      from[t] = tiles.start(strip + t), width[t] = tiles.width(strip + t), to[t] = tiles.offset(strip + t, steps);
      n[t] = tiles.widest ? minl(width[t], tiles.columns - from[t]) : width[t];
    }
    const long reach = from[count - 1] + roundUp(n[count - 1], W);
    b.eachPixel([&](long at) {
      for (long i = 0; i < b.m; i += PER, at += PER * image) {
        const long next = PER > 1 && i + 1 < b.m ? image : 0;
        prefetch<K>(src, at + ahead + from[0], reach - from[0]);
        const bool whole = !tiles.widest && at + next + reach <= end;  // vectors: what lies beyond is written over
        for (long t = 0; t < count; t++) {
          float *o = d + to[t], *o2 = d2 + to[t];
          if (whole)
            for (long j = 0; j < n[t]; j += W) copy(at + from[t] + j, next, o + j, o2 + j, W);
          else copy(at + from[t], next, o, o2, n[t]);
          to[t] += width[t];
        }
      }
    });
  }
}
// -> d, d2 [tile][pixel][image][its columns], encoded (PAIRS: a single tile); `end`: floats of src.
static inline void packImages(const Operands& src, Encoding encoding, const ImageBlock& b, long end,
                              const PanelTiles& tiles, float* d, float* d2) {
  const auto pack = [&](auto K) { packImagesKind<K.value>(src, b, end, tiles, d, d2); };
  if (encoding == PAIRS) withKind<PAIRS>(src, pack);
  else if (encoding == PAIRS_OF_RUNS) withKind<PAIRS_OF_RUNS>(src, pack);
  else withKind(src, encoding, pack);
}

}  // namespace ISA
}  // namespace bayes
