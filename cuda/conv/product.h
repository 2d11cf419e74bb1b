// Forward pass and data gradient: results[pixel][channel] = the sum over taps and channels of a gathered operand times
// weights, an implicit GEMM. One tile of the operand in shared memory feeds mean and variance.
#pragma once
#include "block.h"

namespace bayes {
namespace cuda {

struct ProductShape {
  Operands operands;
  Gather gather;
  Operands weights;                // [tap][channels of a group][total], ONE or a PAIR
  long weightsPerTap, weightsRow;  // elements of a tap; `total`
  int rows, columns, depth;        // pixels; channels of a group and depth of one
  bool vectors, weightVectors;     // the channels of a group come in fours: copies of 16 bytes
  BlockGrid grid;
  Partial partial;
};

// Products from the image to the map and back.
inline ProductShape toMap(const Geometry& g, const Operands& image, const Operands& weights) {
  return {image,         g.ofImage(),       weights,     g.cg * g.k,
          g.k,           toInt(g.pixels()), toInt(g.kg), toInt(g.taps() * g.cg),
          g.cg % 4 == 0, g.kg % 4 == 0,     BlockGrid(), Partial()};
}
inline ProductShape toImage(const Geometry& g, const Operands& map, const Operands& weights) {
  return {map,           g.ofMap(),
          weights,       g.cg * g.k,
          g.k,           toInt(g.imagePixels()),
          toInt(g.cg),   toInt(g.taps() * g.kg),
          g.kg % 4 == 0, g.kg % 4 == 0,
          BlockGrid(),   Partial()};
}

// Floats of a stage, and of all shared memory.
template <class Form, Kind A, Layout BL>
struct ProductMemory {
  static constexpr int ROUTES = A == ONE ? 1 : 2, BM = Form::BM, LD = Form::BN + 4, PLACES = 3 * BM;
  typedef Tile<BM, Form::BK, BY_ROW> TileA;
  typedef Tile<Form::BN, Form::BK, BL> TileB;
  static __host__ __device__ __forceinline__ int stage(int tiles) {
    return tiles * TileA::FLOATS + ROUTES * TileB::FLOATS;
  }
  static size_t bytes(int tiles) {
    const int stages = Form::STAGES * stage(tiles), sums = ROUTES * BM * LD;
    return static_cast<size_t>(PLACES + (stages > sums ? stages : sums)) * 4;
  }
};

// BL: BY_DEPTH, weights of the forward pass, whose columns lie side by side; BY_ROW, of the data gradient, whose depth
// does.
template <class Form, Kind A, Layout BL, class E>
__global__ void __launch_bounds__(Form::THREADS, 2) productKernel(ProductShape s, E epilogue) {
  typedef ProductMemory<Form, A, BL> Memory;
  typedef typename Memory::TileA TileA;
  typedef typename Memory::TileB TileB;
  constexpr int BM = Form::BM, BN = Form::BN, BK = Form::BK, THREADS = Form::THREADS, ROUTES = Memory::ROUTES;
  constexpr Kind B = A == ONE ? ONE : PAIR;
  int* const places = reinterpret_cast<int*>(sharedMemory());
  float* const stages = reinterpret_cast<float*>(sharedMemory()) + Memory::PLACES;
  const int tid = threadIdx.x, tiles = s.operands.tiles();
  const BlockGrid::Place block = s.grid.place();
  const int row0 = block.row * BM, column0 = block.column * BN;
  for (int i = tid; i < BM; i += THREADS) {
    const Gather::Place p = s.gather.place(row0 + i < s.rows ? row0 + i : 0);  // rows too many are not written
    places[i] = p.first, places[BM + i] = p.y, places[2 * BM + i] = p.x;
  }
  blockBarrier();

  // Rows of BK elements, V at once; a thread has the same place in each of its rows.
  const auto eachChunk = [&](auto V, auto f) {
    constexpr int v = decltype(V)::value, CHUNKS = BK / v;
#pragma unroll(v == 4 ? 4 : 1)
    for (int row = tid / CHUNKS; row < BM; row += THREADS / CHUNKS) f(row, tid % CHUNKS * v);
  };
  const auto fetchOperands = [&](auto V, float* to, int number) {
    constexpr int v = decltype(V)::value;
    const int d = number * BK + tid % (BK / v) * v;
    const Gather::Tap tap = s.gather.tap(d);
    const int c = tap.c + block.group * s.gather.perGroup;
    eachChunk(V, [&](int row, int q) {
      const long at = s.gather.at({places[row], places[BM + row], places[2 * BM + row]}, tap, c);
      copyOperands<v, TileA::FLOATS>(s.operands, to + TileA::at(row, q), at, at >= 0 && d < s.depth);
    });
  };
  const auto fetchWeights = [&](auto V, float* to, int number) {
    constexpr int v = decltype(V)::value, CHUNKS = (BL == BY_DEPTH ? BN : BK) / v, ROWS = BL == BY_DEPTH ? BK : BN;
    const int q = tid % CHUNKS * v, d0 = number * BK + q, tap = s.gather.perTap.of(d0);
#pragma unroll(v == 4 ? 4 : 1)
    for (int row = tid / CHUNKS; row < ROWS; row += THREADS / CHUNKS) {
      const int d = BL == BY_DEPTH ? number * BK + row : d0, column = column0 + (BL == BY_DEPTH ? q : row);
      const bool valid = d < s.depth && column < s.columns;
      long at = block.group * (BL == BY_DEPTH ? s.columns : s.gather.perGroup);
      if (BL == BY_DEPTH) at += d * s.weightsRow + column;
      else at += tap * s.weightsPerTap + column * s.weightsRow + d - tap * s.gather.perGroup;
      copyOperands<v, TileB::FLOATS>(s.weights, to + row * TileB::LD + q, at, valid);
    }
  };
  typename Form::template Sums<A, BY_ROW, B, BL> sums;
  const int from = block.part * s.grid.stagesAPart, last = (s.depth + BK - 1) / BK;
  const int to = from + s.grid.stagesAPart < last ? from + s.grid.stagesAPart : last;
  eachStage<Form::STAGES>(
      stages, Memory::stage(tiles), from, to,
      [&](float* stage, int number) {
        if (s.vectors) fetchOperands(Fours(), stage, number);
        else fetchOperands(Ones(), stage, number);
        if (s.weightVectors) fetchWeights(Fours(), stage + tiles * TileA::FLOATS, number);
        else fetchWeights(Ones(), stage + tiles * TileA::FLOATS, number);
      },
      [&](float* stage) {
        if (!s.operands.product && !s.operands.activated()) return;
        const auto make = [&](auto V) {
          eachChunk(V, [&](int row, int q) {
            makeOperands<decltype(V)::value, TileA::FLOATS>(s.operands, stage + TileA::at(row, q));
          });
        };
        if (s.vectors) make(Fours());
        else make(Ones());
      },
      [&](const float* stage) { sums.add(stage, stage + tiles * TileA::FLOATS); });

  // The sums go through shared memory, so that a thread has four channels of a pixel.
  sums.store(stages, Memory::LD, BM * Memory::LD);
  blockBarrier();
  const int rows = s.rows - row0 < BM ? s.rows - row0 : BM, width = s.columns - column0 < BN ? s.columns - column0 : BN;
  finish<Form, ROUTES>(stages, BM * Memory::LD, rows, row0, block.group * s.columns + column0, width, s.partial,
                       block.part, epilogue);
}

}  // namespace cuda
}  // namespace bayes
