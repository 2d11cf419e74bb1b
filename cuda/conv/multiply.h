// Products of two tiles in shared memory, for one route or for both (mean and variance), in three arithmetics: float32
// multiply-adds, and tensor cores with tf32 or bf16 operands and float32 sums. A form has the sizes of a block's tile,
// BM x BN results with BK of the depth a stage; Sums adds stages up in registers.
#pragma once
#include "cuda/op.h"

namespace bayes {
namespace cuda {

// What the tiles of a side hold for the routes: one tensor; one, which the second route squares; one for each.
enum Kind { ONE, SQUARE, PAIR };
// Element (i, d) of a tile, d along the depth: at i * LD + d or at d * LD + i. LD leaves no bank conflicts: fragments
// are read by (row, depth) = (lane / 4, lane % 4), which hits 32 banks for LD = 4 (mod 8, odd fours) and 8 (mod 32).
enum Layout { BY_ROW, BY_DEPTH };
template <int SIZE, int BK, Layout L>
struct Tile {
  static constexpr int LD = L == BY_ROW ? BK + 4 : SIZE + 8, FLOATS = L == BY_ROW ? SIZE * LD : BK * LD;
  static __device__ __forceinline__ int at(int i, int d) { return L == BY_ROW ? i * LD + d : d * LD + i; }
};

// ---- float32
// BM x BN by threads of 4x4 results, THREADS = TX * TY.
template <int BM_, int BN_, int BK_, int STAGES_>
struct Fma {
  static constexpr int BM = BM_, BN = BN_, BK = BK_, STAGES = STAGES_, THREADS = BM * BN / 16;
  static constexpr int TX = BN / 4, TY = BM / 4;
  static __device__ __forceinline__ float operand(float x) { return x; }
  // Element i of a thread's four is in the tile at t + i * T, or at 4 t + i: whatever is read without conflicts.
  template <int T, Layout L>
  static __device__ __forceinline__ int place(int t, int i) {
    return L == BY_ROW ? t + i * T : 4 * t + i;
  }
  template <int T, Layout L, int LD>
  static __device__ __forceinline__ void read(const float* tile, int t, int d, float (&v)[4][4]) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      if (L == BY_ROW) load4(v[i], tile + (t + i * T) * LD + d);
      else {
        float four[4];
        load4(four, tile + (d + i) * LD + 4 * t);
#pragma unroll
        for (int e = 0; e < 4; e++) v[e][i] = four[e];
      }
    }
  }
  template <Kind A, Layout AL, Kind B, Layout BL>
  struct Sums {
    static constexpr int ROUTES = A == ONE ? 1 : 2;
    typedef Tile<BM, BK, AL> TileA;
    typedef Tile<BN, BK, BL> TileB;
    float sums[ROUTES][4][4] = {};
    __device__ __forceinline__ void add(const float* a, const float* b) {
      const int tx = threadIdx.x % TX, ty = threadIdx.x / TX;
#pragma unroll 1  // else registers are spilled
      for (int d = 0; d < BK; d += 4) {
        float va[4][4], vb[4][4];
        read<TY, AL, TileA::LD>(a, ty, d, va), read<TX, BL, TileB::LD>(b, tx, d, vb);
        multiply(sums[0], va, vb);
        if constexpr (ROUTES == 2) {
          second<A, TY, AL, TileA>(a, ty, d, va), second<B, TX, BL, TileB>(b, tx, d, vb);
          multiply(sums[1], va, vb);
        }
      }
    }
    template <Kind K, int T, Layout L, class OfTile>
    static __device__ __forceinline__ void second(const float* tile, int t, int d, float (&v)[4][4]) {
      if constexpr (K == PAIR) read<T, L, OfTile::LD>(tile + OfTile::FLOATS, t, d, v);
      else {
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
          for (int e = 0; e < 4; e++) v[i][e] *= v[i][e];
      }
    }
    static __device__ __forceinline__ void multiply(float (&s)[4][4], const float (&va)[4][4],
                                                    const float (&vb)[4][4]) {
#pragma unroll
      for (int e = 0; e < 4; e++)
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) s[i][j] = fmaf(va[i][e], vb[j][e], s[i][j]);
    }
    // To [BM][ld] for each route.
    __device__ __forceinline__ void store(float* to, int ld, int route) const {
      const int tx = threadIdx.x % TX, ty = threadIdx.x / TX;
#pragma unroll
      for (int r = 0; r < ROUTES; r++)
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) to[r * route + place<TY, AL>(ty, i) * ld + place<TX, BL>(tx, j)] = sums[r][i][j];
    }
  };
};

// ---- Tensor cores
// An operand's word of a lane with t = lane % 4, half h: tf32 takes depth t + 4 h; bf16 depths t + 8 h and t + 8 h + 4,
// in an order of its own, which is the same on both sides and so leaves sums of products what they are.
struct Tf32 {
  static constexpr int DEPTH = 8;
  static __device__ __forceinline__ float operand(float x) { return floatOf(static_cast<int32_t>(tf32(x))); }
  template <bool SQUARED, class F>
  static __device__ __forceinline__ uint32_t word(int t, int h, F element) {
    const float v = element(t + 4 * h);
    return tf32(SQUARED ? v * v : v);
  }
  static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mma(d, a, b);
  }
};
struct Bf16 {
  static constexpr int DEPTH = 16;
  static __device__ __forceinline__ float operand(float x) {
    return floatOf(static_cast<int32_t>(pairBf16(x, 0.f) << 16));
  }
  template <bool SQUARED, class F>
  static __device__ __forceinline__ uint32_t word(int t, int h, F element) {
    const float u = element(t + 8 * h), v = element(t + 8 * h + 4);
    return SQUARED ? pairBf16(u * u, v * v) : pairBf16(u, v);
  }
  static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    mmaBf16(d, a, b);
  }
};

// Warps of WM x WN results.
template <class Arithmetic, int BM_, int BN_, int BK_, int WM, int WN, int STAGES_>
struct Mma {
  static constexpr int BM = BM_, BN = BN_, BK = BK_, STAGES = STAGES_, THREADS = BM / WM * (BN / WN) * 32;
  static constexpr int MT = WM / 16, NT = WN / 8;
  static __device__ __forceinline__ float operand(float x) { return Arithmetic::operand(x); }
  template <Kind A, Layout AL, Kind B, Layout BL>
  struct Sums {
    static constexpr int ROUTES = A == ONE ? 1 : 2;
    typedef Tile<BM, BK, AL> TileA;
    typedef Tile<BN, BK, BL> TileB;
    float sums[ROUTES][MT][NT][4] = {};
    // One word of each route.
    template <Kind K, class OfTile>
    static __device__ __forceinline__ void word(const float* tile, int i, int d, int t, int h, uint32_t (&w)[ROUTES]) {
      w[0] = Arithmetic::template word<false>(t, h, [&](int e) { return tile[OfTile::at(i, d + e)]; });
      if constexpr (ROUTES == 2) {
        const float* const other = K == PAIR ? tile + OfTile::FLOATS : tile;
        w[1] = Arithmetic::template word<K == SQUARE>(t, h, [&](int e) { return other[OfTile::at(i, d + e)]; });
      }
    }
    __device__ __forceinline__ void add(const float* a, const float* b) {
      const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
      const int wm = warp / (BN / WN) * WM, wn = warp % (BN / WN) * WN;
#pragma unroll
      for (int d = 0; d < BK; d += Arithmetic::DEPTH) {
        uint32_t bw[ROUTES][NT][2], w[ROUTES];
#pragma unroll
        for (int j = 0; j < NT; j++)
#pragma unroll
          for (int h = 0; h < 2; h++) {
            word<B, TileB>(b, wn + 8 * j + g, d, t, h, w);
#pragma unroll
            for (int r = 0; r < ROUTES; r++) bw[r][j][h] = w[r];
          }
#pragma unroll
        for (int i = 0; i < MT; i++) {
          uint32_t aw[ROUTES][4];
#pragma unroll
          for (int e = 0; e < 4; e++) {
            word<A, TileA>(a, wm + 16 * i + g + 8 * (e & 1), d, t, e >> 1, w);
#pragma unroll
            for (int r = 0; r < ROUTES; r++) aw[r][e] = w[r];
          }
#pragma unroll
          for (int j = 0; j < NT; j++)
#pragma unroll
            for (int r = 0; r < ROUTES; r++) Arithmetic::multiply(sums[r][i][j], aw[r], bw[r][j]);
        }
      }
    }
    __device__ __forceinline__ void store(float* to, int ld, int route) const {
      const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
      const int wm = warp / (BN / WN) * WM, wn = warp % (BN / WN) * WN;
#pragma unroll
      for (int r = 0; r < ROUTES; r++)
#pragma unroll
        for (int i = 0; i < MT; i++)
#pragma unroll
          for (int j = 0; j < NT; j++)
#pragma unroll
            for (int e = 0; e < 4; e++)
              to[r * route + (wm + 16 * i + g + 8 * (e / 2)) * ld + wn + 8 * j + 2 * t + e % 2] = sums[r][i][j][e];
    }
  };
};

}  // namespace cuda
}  // namespace bayes
