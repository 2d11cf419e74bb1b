// Weight gradients: dw[tap][channel][k] = the sum over pixels of image[pixel's tap][channel] * map[pixel][k], for both
// routes in one pass, and the sums over the map, which are the gradients of the biases, from the same tiles. The pixels
// are cut into parts by shapes alone, whose sums are added in order.
#pragma once
#include "block.h"

namespace bayes {
namespace cuda {

struct WeightShape {
  Operands image, map;
  Gather gather;
  int rows, columns, pixels, mapChannels;  // taps and channels of a group; channels of the map of a group, and of all
  bool vectors, mapVectors, biases;
  BlockGrid grid;
  Partial partial;
};

// rows: 0, of the biases alone
inline WeightShape weightShape(const Geometry& g, const Operands& image, const Operands& map, long rows, bool biases) {
  return {image,      map,           g.ofImage(),   toInt(rows), toInt(g.kg), toInt(g.pixels()),
          toInt(g.k), g.cg % 4 == 0, g.kg % 4 == 0, biases,      BlockGrid(), Partial()};
}

template <class Form, Kind A, Kind B>
struct WeightMemory {
  static constexpr int ROUTES = A == ONE ? 1 : 2, BM = Form::BM, LD = Form::BN + 4, PARTS = Form::THREADS / Form::BN;
  typedef Tile<BM, Form::BK, BY_DEPTH> TileA;
  typedef Tile<Form::BN, Form::BK, BY_DEPTH> TileB;
  static __host__ __device__ __forceinline__ int stage(int tilesA, int tilesB) {
    return tilesA * TileA::FLOATS + tilesB * TileB::FLOATS;
  }
  static size_t bytes(int tilesA, int tilesB) {
    const int stages = Form::STAGES * stage(tilesA, tilesB), sums = ROUTES * (BM + PARTS) * LD;
    return static_cast<size_t>(stages > sums ? stages : sums) * 4;
  }
};

template <class Form, Kind A, Kind B>
__global__ void __launch_bounds__(Form::THREADS, 2) weightKernel(WeightShape s, WeightEpilogue epilogue) {
  typedef WeightMemory<Form, A, B> Memory;
  typedef typename Memory::TileA TileA;
  typedef typename Memory::TileB TileB;
  constexpr int BM = Form::BM, BN = Form::BN, BK = Form::BK, THREADS = Form::THREADS, ROUTES = Memory::ROUTES;
  constexpr int PARTS = Memory::PARTS, LD = Memory::LD, ROUTE = (BM + PARTS) * LD, TILES_A = A == PAIR ? 2 : 1;
  float* const stages = reinterpret_cast<float*>(sharedMemory());
  const int tid = threadIdx.x, tilesB = s.map.tiles();
  const BlockGrid::Place block = s.grid.place();
  const int row0 = block.row * BM, column0 = block.column * BN;
  const bool biases = s.biases && block.row == 0;

  const auto fetchImage = [&](auto V, float* to, int number) {
    constexpr int v = decltype(V)::value, CHUNKS = BM / v;
    const int m = tid % CHUNKS * v;
    const Gather::Tap tap = s.gather.tap(row0 + m);
    const int c = tap.c + block.group * s.gather.perGroup;
#pragma unroll(v == 4 ? 4 : 1)
    for (int d = tid / CHUNKS; d < BK; d += THREADS / CHUNKS) {
      const int pixel = number * BK + d;
      const bool exists = pixel < s.pixels && row0 + m < s.rows;
      const long at = exists ? s.gather.at(s.gather.place(pixel), tap, c) : -1;
      copyOperands<v, TileA::FLOATS>(s.image, to + TileA::at(m, d), at, at >= 0);
    }
  };
  const auto eachChunk = [&](auto V, auto f) {
    constexpr int v = decltype(V)::value, CHUNKS = BN / v;
#pragma unroll(v == 4 ? 4 : 1)
    for (int d = tid / CHUNKS; d < BK; d += THREADS / CHUNKS) f(d, tid % CHUNKS * v);
  };
  const auto fetchMap = [&](auto V, float* to, int number) {
    eachChunk(V, [&](int d, int q) {
      const int pixel = number * BK + d, column = column0 + q;
      const long at = static_cast<long>(pixel) * s.mapChannels + block.group * s.columns + column;
      copyOperands<decltype(V)::value, TileB::FLOATS>(s.map, to + TileB::at(q, d), at,
                                                      pixel < s.pixels && column < s.columns);
    });
  };
  typename Form::template Sums<A, BY_DEPTH, B, BY_DEPTH> sums;
  float bias[ROUTES] = {};
  const int from = block.part * s.grid.stagesAPart, last = (s.pixels + BK - 1) / BK;
  const int to = from + s.grid.stagesAPart < last ? from + s.grid.stagesAPart : last;
  eachStage<Form::STAGES>(
      stages, Memory::stage(TILES_A, tilesB), from, to,
      [&](float* stage, int number) {
        if (s.vectors) fetchImage(Fours(), stage, number);
        else fetchImage(Ones(), stage, number);
        if (s.mapVectors) fetchMap(Fours(), stage + TILES_A * TileA::FLOATS, number);
        else fetchMap(Ones(), stage + TILES_A * TileA::FLOATS, number);
      },
      [&](float* stage) {
        if (!s.map.product && !s.map.activated()) return;
        const auto make = [&](auto V) {
          eachChunk(V, [&](int d, int q) {
            makeOperands<decltype(V)::value, TileB::FLOATS>(s.map, stage + TILES_A * TileA::FLOATS + TileB::at(q, d));
          });
        };
        if (s.mapVectors) make(Fours());
        else make(Ones());
      },
      [&](const float* stage) {
        const float* const map = stage + TILES_A * TileA::FLOATS;
        sums.add(stage, map);
        if (!biases) return;
        for (int d = tid / BN; d < BK; d += PARTS)
#pragma unroll
          for (int r = 0; r < ROUTES; r++)
            bias[r] += Form::operand(map[(B == PAIR ? r : 0) * TileB::FLOATS + TileB::at(tid % BN, d)]);
      });

  // Behind the block's rows: each thread's share of the bias gradients, and then their sums.
  sums.store(stages, LD, ROUTE);
#pragma unroll
  for (int r = 0; r < ROUTES; r++) stages[r * ROUTE + (BM + tid / BN) * LD + tid % BN] = bias[r];
  blockBarrier();
  const int width = s.columns - column0 < BN ? s.columns - column0 : BN, channel = block.group * s.columns + column0;
  const int left = s.rows - row0 < BM ? s.rows - row0 : BM;
  finish<Form, ROUTES>(stages, ROUTE, left, row0, channel, width, s.partial, block.part, epilogue);
  if (!biases) return;
  for (int i = tid; i < ROUTES * BN; i += THREADS) {
    float* const column = stages + i / BN * ROUTE + BM * LD + i % BN;
    for (int p = 1; p < PARTS; p++) column[0] += column[p * LD];
  }
  blockBarrier();
  finish<Form, ROUTES>(stages + BM * LD, ROUTE, 1, s.rows, channel, width, s.partial, block.part, epilogue);
}

}  // namespace cuda
}  // namespace bayes
