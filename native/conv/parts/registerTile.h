// The register tile under convolutions and linear layers (with the images in the lanes there is another,
// ../imageLanes/lanes.h): out[i][:] += x[i] * w[:] over runs of steps, P rows by Z vectors. Per step it loads Z vectors
// of packed weights and P broadcasts for P * Z multiply-adds, so the two FMA ports are the bound as long as P * Z is at
// least their latency x 2 and x and w come from L1 or L2. The second route of a Bayesian layer (x^2 with sigma^2)
// shares no operand with the first once x^2 lies in its own panel, so it is simply a second call: fusing the two in
// registers was measured to gain nothing.
#pragma once
#include "columns.h"
#include "tileHeight.h"

namespace bayes {
namespace ISA {

constexpr int TALL1 = W == 16 ? 16 : 12, TALL2 = W == 16 ? 12 : 6;  // most rows of a tile 1 and 2 vectors wide

// A product reads its operands in runs of equally many steps. Where one starts: x in units of `scale` floats, w in
// steps of the packed block.
struct Run {
  int32_t x, w;
};
struct Runs {
  const Run* at;
  long count, steps, scale = 1;
  Encoding encoding = FLOAT;  // of both operands; steps and floats are words where they are in words
};

// ACROSS = false: x[i * stride + t], rows apart (forward, data gradient); true: x[i + t * stride], rows together
// (weight gradient: the same panel read across).
template <int P, int Z, bool ACROSS, int HOW>
static __attribute__((noinline)) void tile(const float* x, long stride, const float* w, const Runs& runs, float* out,
                                           long ld, bool add) {
  vf a[P][Z];
#pragma GCC unroll 16
  for (int i = 0; i < P; i++)
#pragma GCC unroll 2
    for (int z = 0; z < Z; z++) a[i][z] = add ? load(out + i * ld + z * W) : vf{};
  constexpr int GROUPS = ACROSS ? 1 : (P + 2) / 3;  // one pointer for three rows: few registers, addresses for free
  for (long r = 0; r < runs.count; r++) {
    const float* row[GROUPS];
#pragma GCC unroll 6
    for (int g = 0; g < GROUPS; g++) row[g] = x + runs.at[r].x * runs.scale + 3 * g * stride;
    const float* b = w + static_cast<long>(runs.at[r].w) * (Z * W);
    for (long t = 0; t < runs.steps; t++, b += Z * W) {
      vf v[Z];
#pragma GCC unroll 2
      for (int z = 0; z < Z; z++) v[z] = load(b + z * W);
#pragma GCC unroll 16
      for (int i = 0; i < P; i++) {
        const vf xi = broadcast<HOW>(ACROSS ? row[0] + i : row[ACROSS ? 0 : i / 3] + (i % 3) * stride);
#pragma GCC unroll 2
        for (int z = 0; z < Z; z++) a[i][z] = multiplyAdd<HOW>(xi, v[z], a[i][z]);
      }
#pragma GCC unroll 6
      for (int g = 0; g < GROUPS; g++) row[g] += ACROSS ? stride : 1;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < P; i++)
#pragma GCC unroll 2
    for (int z = 0; z < Z; z++) store(out + i * ld + z * W, a[i][z]);
}
template <int Z, bool ACROSS, int HOW>
INL void tileIn(long rows, const float* x, long stride, const float* w, const Runs& runs, float* out, long ld,
                bool add) {
  withHeight<Z == 1 ? TALL1 : TALL2>(
      rows, [&](auto height) { tile<height.rows, Z, ACROSS, HOW>(x, stride, w, runs, out, ld, add); });
}
template <int Z, bool ACROSS>
static void tileOf(long rows, const float* x, long stride, const float* w, const Runs& runs, float* out, long ld,
                   bool add) {
  if (runs.encoding < PAIRS) return tileIn<Z, ACROSS, NO_PAIRS>(rows, x, stride, w, runs, out, ld, add);
#if defined(__AVX512BF16__)
  if (bf16Pairs() == INSTRUCTION) return tileIn<Z, ACROSS, INSTRUCTION>(rows, x, stride, w, runs, out, ld, add);
#endif
  tileIn<Z, ACROSS, EMULATED>(rows, x, stride, w, runs, out, ld, add);
}

// `rows` rows of one column block, in tiles of about equal height (a tile of one or two rows would be bound by
// latency).
template <int Z, bool ACROSS>
static void rowsOf(long rows, const float* x, long stride, const float* w, const Runs& runs, float* out, long ld,
                   bool add) {
  const long tiles = ceilDiv(rows, Z == 1 ? TALL1 : TALL2);
  for (long t = 0, i = 0; t < tiles; t++) {
    const long next = rows * (t + 1) / tiles;
    tileOf<Z, ACROSS>(next - i, x + (ACROSS ? i : i * stride), stride, w, runs, out + i * ld, ld, add);
    i = next;
  }
}

// out [rows][ld] (+)= x . packed, for the column blocks [b0, b1). `depth` is the whole number of steps of the packed
// matrix, of which the runs are multiplied. `out` is at column 0 and needs room for padded columns.
template <bool ACROSS>
static void multiply(long rows, const float* x, long stride, const float* packed, long depth, const Runs& runs,
                     long columns, long b0, long b1, float* out, long ld, bool add) {
  for (long b = b0; b < b1; b++) {
    const float* w = packed + b * 2 * W * depth;
    if (blockWidth(columns, b) == W) rowsOf<1, ACROSS>(rows, x, stride, w, runs, out + b * 2 * W, ld, add);
    else rowsOf<2, ACROSS>(rows, x, stride, w, runs, out + b * 2 * W, ld, add);
  }
}

}  // namespace ISA
}  // namespace bayes
