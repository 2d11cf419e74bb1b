// What the two kinds of products share: the loop over stages, what happens to a block's sums, and where a block works.
#pragma once
#include "epilogue.h"
#include "operands.h"

namespace bayes {
namespace cuda {

// Which part of the results a block has: columns first, so that neighbours read the same rows of the first operand.
struct BlockGrid {
  int rowTiles, columnTiles, groups, parts, stagesAPart;
  struct Place {
    int row, column, group, part;
  };
  __device__ __forceinline__ Place place() const {
    int b = static_cast<int>(blockIdx.x);
    Place p;
    p.column = b % columnTiles, b /= columnTiles;
    p.row = b % rowTiles, b /= rowTiles;
    p.group = b % groups, p.part = b / groups;
    return p;
  }
  long blocks() const { return static_cast<long>(rowTiles) * columnTiles * groups * parts; }
};

// The copies of the next stages are under way while one is multiplied. fetch(stage, number) copies, make(stage) works
// on what this thread has copied, use(stage) reads everybody's.
template <int STAGES, class Fetch, class Make, class Use>
__device__ __forceinline__ void eachStage(float* stages, int floats, int from, int to, Fetch fetch, Make make,
                                          Use use) {
  int now = 0, next = 0;
  for (int i = from - (STAGES - 1); i < to; i++) {  // the first turns only fetch
    if (i >= from) {
      copyWait<STAGES - 2>();
      make(stages + now * floats);
      blockBarrier();  // this stage is there for everybody, and nobody reads the one that is written next
    }
    if (i + STAGES - 1 < to) fetch(stages + next * floats, i + STAGES - 1);
    copyCommit();
    next = next + 1 == STAGES ? 0 : next + 1;
    if (i < from) continue;
    use(stages + now * floats);
    now = now + 1 == STAGES ? 0 : now + 1;
  }
  copyWait<0>();
  blockBarrier();
}

// Sums of a block in shared memory, [route][rows][LD], to the epilogue or to the partial sums. The block's rows begin
// at `row`, its columns at channel `channel`, of which `width` exist.
template <class Form, int ROUTES, class E>
__device__ __forceinline__ void finish(const float* sums, int route, int rows, int row, int channel, int width,
                                       const Partial& partial, int part, const E& epilogue) {
  constexpr int LD = Form::BN + 4;
  const int before = channel % 4, first = channel / 4, quads = (before + width + 3) / 4;
  for (int i = threadIdx.x; i < rows * quads; i += Form::THREADS) {
    const int at = i / quads, q = i - at * quads, column = 4 * q - before;
    const int from = column < 0 ? -column : 0, to = width - column < 4 ? width - column : 4;
    float v[2][4] = {};
#pragma unroll
    for (int r = 0; r < ROUTES; r++) {
      if (before == 0) load4(v[r], sums + r * route + at * LD + column);
      else
#pragma unroll
        for (int e = 0; e < 4; e++)
          if (e >= from && e < to) v[r][e] = sums[r * route + at * LD + column + e];
    }
    if (partial.sums) {
#pragma unroll
      for (int r = 0; r < ROUTES; r++)
        storeQuad(partial.at(part, r, ROUTES, row + at), 4 * (first + q), to - from == 4, from, to, v[r]);
    } else epilogue(row + at, first + q, from, to, v[0], v[1]);
  }
}

}  // namespace cuda
}  // namespace bayes
