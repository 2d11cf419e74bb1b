// The product over channel lanes (product.h) of a depthwise layer whose operand needs no making: the image is read
// where it lies. Results whose taps all fall on the image are tiles of neighbouring pixels, which share a vector of
// weights; the few beside them are tiles of neighbouring channels without the taps outside.
#pragma once
#include "../parts/tileHeight.h"
#include "panel.h"

namespace bayes {
namespace ISA {

// One row of results of one image.
struct DirectRow {
  struct Tap {
    const float *x, *w;  // x: of result 0, which may be beside the image
    long j;
  };
  Tap taps[LanePanel::MOST_TAPS];
  long count = 0;
  float* out;
  const float* bias;         // added to the sums, or null
  long vectors, stride, ld;  // stride, ld: from one result to the next, of x and of out
  long depth;                // of weights: [vector][depth][W]
  const float* next;         // rows that only the next row of results reads, fetched meanwhile: `belowRows` of them,
  long below, belowRows;     // `below` floats apart
};

template <bool SQUARED>
INL vf directOperand(const float* x) {
  const vf a = load(x);
  return SQUARED ? a * a : a;
}
// P neighbouring pixels of all vectors of channels, one after the other. KW: the taps of a kernel row are so many
// neighbours, and results S pixels apart; a pixel is then loaded once for all of them. Many channels a pixel lie in the
// same set of the L1 cache, so that a second load would find them gone. 0: any taps.
template <int P, int KW, int S, bool SQUARED>
static __attribute__((noinline)) void directPixels(const DirectRow& row, long q) {
  const long stride = row.stride, step = stride / S;
  for (long c = 0; c < row.vectors * W; c += W) {
    for (long r = 0; r < row.belowRows; r++)
      for (long i = 0; i < P; i++) __builtin_prefetch(row.next + r * row.below + (q + i) * stride + c, 0, 2);
    vf a[P]{};
    for (long t = 0; t < row.count; t += KW ? KW : 1) {
      const float *x = row.taps[t].x + q * stride + c, *w = row.taps[t].w + c * row.depth;
      vf b[KW ? KW : 1];
#pragma GCC unroll 5
      for (int j = 0; j < (KW ? KW : 1); j++) b[j] = load(w + j * W);
#pragma GCC unroll 24
      for (int u = 0; u < (P - 1) * S + (KW ? KW : 1); u++) {
        const vf v = directOperand<SQUARED>(x + u * step);
#pragma GCC unroll 5
        for (int j = 0; j < (KW ? KW : 1); j++)
          if (u >= j && (u - j) % S == 0 && (u - j) / S < P) a[(u - j) / S] = fma(v, b[j], a[(u - j) / S]);
      }
    }
    float* to = row.out + q * row.ld + c;
    const vf bias = row.bias ? load(row.bias + c) : vf{};
#pragma GCC unroll 8
    for (int i = 0; i < P; i++) store(to + i * row.ld, row.bias ? a[i] + bias : a[i]);
  }
}
// Z neighbouring vectors of channels of one pixel at its border, from vector v on
template <int Z, bool SQUARED>
static __attribute__((noinline)) void directChannels(const DirectRow& row, const DirectRow::Tap* taps, long count,
                                                     long q, long v) {
  vf a[Z]{};
  for (long t = 0; t < count; t++) {
    const float *x = taps[t].x + q * row.stride + v * W, *w = taps[t].w + v * W * row.depth;
#pragma GCC unroll 8
    for (int z = 0; z < Z; z++) a[z] = fma(directOperand<SQUARED>(x + z * W), load(w + z * W * row.depth), a[z]);
  }
  float* to = row.out + q * row.ld + v * W;
#pragma GCC unroll 8
  for (int z = 0; z < Z; z++) store(to + z * W, row.bias ? a[z] + load(row.bias + (v + z) * W) : a[z]);
}

template <bool SQUARED>
static void directBorder(const DirectRow& row, const LanePanel& panel, long q) {
  DirectRow::Tap taps[LanePanel::MOST_TAPS];
  long count = 0;
  for (long t = 0; t < row.count; t++)
    if (panel.horizontal.at(q, panel.tapOf(row.taps[t].j)) >= 0) taps[count++] = row.taps[t];
  for (long v = 0; v < row.vectors;)
    if (row.vectors - v >= 8) directChannels<8, SQUARED>(row, taps, count, q, v), v += 8;
    else if (row.vectors - v >= 4) directChannels<4, SQUARED>(row, taps, count, q, v), v += 4;
    else directChannels<1, SQUARED>(row, taps, count, q, v), v++;
}
template <int KW, int S, bool SQUARED>
static void directInner(const DirectRow& row, long from, long to) {
  const long tiles = ceilDiv(to - from, 8);
  for (long i = 0, q = from; i < tiles; i++) {
    const long next = from + (to - from) * (i + 1) / tiles;
    withHeight<8>(next - q, [&](auto height) { directPixels<height.rows, KW, S, SQUARED>(row, q); });
    q = next;
  }
}
// All results of the row, of which those in [inner0, inner1) read nothing but the image.
template <bool SQUARED>
static void directRow(const DirectRow& row, const LanePanel& panel, long inner0, long inner1) {
  const Axis& h = panel.horizontal;
  const long taps = h.dilation == 1 ? h.taps : 0, stride = panel.advance();
  for (long q = 0; q < inner0; q++) directBorder<SQUARED>(row, panel, q);
  if (taps == 3 && stride == 1) directInner<3, 1, SQUARED>(row, inner0, inner1);
  else if (taps == 3 && stride == 2) directInner<3, 2, SQUARED>(row, inner0, inner1);
  else if (taps == 5 && stride == 1) directInner<5, 1, SQUARED>(row, inner0, inner1);
  else directInner<0, 1, SQUARED>(row, inner0, inner1);
  for (long q = inner1; q < h.out; q++) directBorder<SQUARED>(row, panel, q);
}

}  // namespace ISA
}  // namespace bayes
