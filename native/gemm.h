// The one register kernel under every convolution and linear layer: out[i][:] += x[i] * w[:] over a run of steps, a
// tile of P rows by Z vectors. Per step it loads Z vectors of packed weights and P broadcasts for P * Z multiply-adds,
// so the two FMA ports are the bound as long as P * Z is at least their latency x 2 and x and w come from L1 or L2. The
// second route of a Bayesian layer (x^2 with sigma^2) shares no operand with the first once x^2 lies in its own panel,
// so it is simply a second call: fusing the two in registers was measured to gain nothing.
#pragma once
#include "simd.h"

namespace bayes {
namespace ISA {

constexpr int TALL1 = W == 16 ? 16 : 12, TALL2 = W == 16 ? 12 : 6;  // most rows of a tile 1 and 2 vectors wide

// Columns are cut into blocks of 2W, the last one of W or 2W, zero-padded; a packed matrix is [block][step][width].
INL long padded(long columns) { return ceilDiv(columns, W) * W; }
INL long columnBlocks(long columns) { return ceilDiv(columns, 2 * W); }
INL long blockWidth(long columns, long block) { return minl(2 * W, padded(columns) - block * 2 * W); }

// ACROSS = false: x[i * stride + t], rows apart (forward, data gradient); true: x[i + t * stride], rows together
// (weight gradient: the same panel read across).
template <int P, int Z, bool ACROSS>
static __attribute__((noinline)) void tile(const float* x, long stride, const float* w, long steps, long runs,
                                           long jump, float* out, long ld, bool add) {
  vf a[P][Z];
#pragma GCC unroll 16
  for (int i = 0; i < P; i++)
#pragma GCC unroll 2
    for (int z = 0; z < Z; z++) a[i][z] = add ? load(out + i * ld + z * W) : vf{};
  constexpr int GROUPS = ACROSS ? 1 : (P + 2) / 3;  // one pointer for three rows: few registers, addresses for free
  const float* row[GROUPS];
#pragma GCC unroll 6
  for (int g = 0; g < GROUPS; g++) row[g] = x + 3 * g * stride;
  const long rest = jump - (ACROSS ? steps * stride : steps);
  for (long r = 0; r < runs; r++) {
    for (long t = 0; t < steps; t++, w += Z * W) {
      vf b[Z];
#pragma GCC unroll 2
      for (int z = 0; z < Z; z++) b[z] = load(w + z * W);
#pragma GCC unroll 16
      for (int i = 0; i < P; i++) {
        const vf v = set1(ACROSS ? row[0][i] : row[ACROSS ? 0 : i / 3][(i % 3) * stride]);
#pragma GCC unroll 2
        for (int z = 0; z < Z; z++) a[i][z] = fma(v, b[z], a[i][z]);
      }
#pragma GCC unroll 6
      for (int g = 0; g < GROUPS; g++) row[g] += ACROSS ? stride : 1;
    }
#pragma GCC unroll 6
    for (int g = 0; g < GROUPS; g++) row[g] += rest;
  }
#pragma GCC unroll 16
  for (int i = 0; i < P; i++)
#pragma GCC unroll 2
    for (int z = 0; z < Z; z++) store(out + i * ld + z * W, a[i][z]);
}

// `rows` rows of one column block, in tiles of about equal height (a tile of one or two rows would be bound by
// latency).
template <int Z, bool ACROSS>
static void rowsOf(long rows, const float* x, long stride, const float* w, long steps, long runs, long jump, float* out,
                   long ld, bool add) {
  constexpr int TALL = Z == 1 ? TALL1 : TALL2;
  const long tiles = ceilDiv(rows, TALL);
  for (long t = 0, i = 0; t < tiles; t++) {
    const long next = rows * (t + 1) / tiles;
    const float* xi = x + (ACROSS ? i : i * stride);
    float* o = out + i * ld;
#define TILE(P)                                                                                \
  case P:                                                                                      \
    if constexpr (P <= TALL) tile<P, Z, ACROSS>(xi, stride, w, steps, runs, jump, o, ld, add); \
    break;
    switch (next - i) {
      TILE(1)
      TILE(2)
      TILE(3)
      TILE(4) TILE(5) TILE(6) TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12) TILE(13) TILE(14) TILE(15) TILE(16)
    }
#undef TILE
    i = next;
  }
}

// out [rows][ld] (+)= x . packed, for the column blocks [b0, b1). `depth` is the whole number of steps of the packed
// matrix, of which steps first .. first + steps are multiplied. `out` is at column 0 and needs room for padded columns.
template <bool ACROSS>
static void multiply(long rows, const float* x, long stride, const float* packed, long depth, long first, long steps,
                     long columns, long b0, long b1, float* out, long ld, bool add, long runs = 1, long jump = 0) {
  for (long b = b0; b < b1; b++) {
    const long width = blockWidth(columns, b);
    const float* w = packed + b * 2 * W * depth + first * width;
    if (width == W) rowsOf<1, ACROSS>(rows, x, stride, w, steps, runs, jump, out + b * 2 * W, ld, add);
    else rowsOf<2, ACROSS>(rows, x, stride, w, steps, runs, jump, out + b * 2 * W, ld, add);
  }
}

// One block of src [steps][ld] -> [steps][width].
static inline void packBlock(float* d, const float* src, long steps, long ld, long columns, long block) {
  const long width = blockWidth(columns, block), c = block * 2 * W, n = minl(width, columns - c);
  for (long t = 0; t < steps; t++, d += width, src += ld)
    for (long j = 0; j < width; j += W) store(d + j, j < n ? loadn(src + c + j, n - j) : vf{});
}

// One block of the transpose of src [columns][ld] -> [steps][width].
static inline void packBlockTransposed(float* d, const float* src, long steps, long ld, long columns, long block) {
  const long width = blockWidth(columns, block), c = block * 2 * W, n = minl(width, columns - c);
  for (long t = 0; t < steps; t++, d += width)
    for (long j = 0; j < width; j++) d[j] = j < n ? src[(c + j) * ld + t] : 0;
}

// Scratch memory handed out front to back; with a null base it only counts, so one function says what an op needs and
// takes it.
struct Bump {
  char* base;
  size_t used = 0;
  INL explicit Bump(void* p) : base(static_cast<char*>(p)) {}
  INL float* floats(long n) {
    float* p = reinterpret_cast<float*>(base + used);
    used += (static_cast<size_t>(n) * 4 + 63) / 64 * 64;
    return p;
  }
};

}  // namespace ISA
}  // namespace bayes
