// What everything with the images in the lanes is made of: packing them so, and the product of such a panel with
// broadcast weights (in a Run, x is where the weights start and w where the panel does). Bound by the FMA ports.
#pragma once
#include "../../vector/bytes.h"
#include "../parts/registerTile.h"
#include "../parts/operands.h"

namespace bayes {
namespace ISA {

constexpr long LANE_PIECE = 16;  // floats of an image read at once: a cache line

// `count` floats at src of each of m images `size` apart -> d, d2 [count][LANES]; lanes beyond m are zero. Writes up to
// LANE_PIECE - 1 rows of lanes beyond.
template <int K>
static void packLanesKind(const Operands& src, long at, long size, long m, long count, float* d, float* d2) {
  alignas(64) float a[LANES * LANE_PIECE], b[LANES * LANE_PIECE];
  memset(a, 0, sizeof a), memset(b, 0, sizeof b);
  for (long x = 0; x < count; x += LANE_PIECE, d += LANE_PIECE * LANES, d2 += LANE_PIECE * LANES) {
    for (long i = 0; i < m; i++) {
      prefetch<K>(src, at + i * size + x + 2 * LANE_PIECE, LANE_PIECE);
      for (long j = 0; j < LANE_PIECE; j += W) {
        vf first{}, second{};
        if (x + j < count) elements<K>(src, at + i * size + x + j, count - x - j, first, second);
        store(a + i * LANE_PIECE + j, encoded<K>(first));
        if (K % 4 != ONE) store(b + i * LANE_PIECE + j, encoded<K>(second));
      }
    }
    for (long j = 0; j < LANE_PIECE; j += 8)
      for (long i = 0; i < LANES; i += 8) {
        transpose8(d + j * LANES + i, LANES, a + i * LANE_PIECE + j, LANE_PIECE);
        if (K % 4 != ONE) transpose8(d2 + j * LANES + i, LANES, b + i * LANE_PIECE + j, LANE_PIECE);
      }
  }
}
static inline void packLanes(const Operands& src, Encoding encoding, long at, long size, long m, long count, float* d,
                             float* d2) {
  withKind(src, encoding, [&](auto K) { packLanesKind<K.value>(src, at, size, m, count, d, d2); });
}
// Bytes, as integers of 32 bits.
static void packBytes(const uint8_t* src, long size, long m, long count, float* d) {
  alignas(64) float a[LANES * LANE_PIECE];
  memset(a, 0, sizeof a);
  for (long x = 0; x < count; x += LANE_PIECE, d += LANE_PIECE * LANES) {
    for (long i = 0; i < m; i++)
      for (long j = 0; j < minl(LANE_PIECE, count - x); j += W)
        store(a + i * LANE_PIECE + j, asFloat(loadBytes(src + i * size + x + j, count - x - j)));
    for (long j = 0; j < LANE_PIECE; j += 8)
      for (long i = 0; i < LANES; i += 8) transpose8(d + j * LANES + i, LANES, a + i * LANE_PIECE + j, LANE_PIECE);
  }
}
// out[i][:] = sum over the runs of w[run.x + t][i] * X[run.w + t][:], for P of `columns` columns and several pixels
// whose inputs lie `shift` rows of lanes apart, and their weights `next` floats. Runs may be short: all of it is one
// function.
template <int P>
static __attribute__((noinline)) void lanePixels(const float* w, long columns, const float* X, long shift,
                                                 const Runs& runs, long pixels, float* out, long ld, long next = 0) {
  for (long p = 0; p < pixels; p++, X += shift * LANES, out += ld * LANES, w += next) {
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

}  // namespace ISA
}  // namespace bayes
