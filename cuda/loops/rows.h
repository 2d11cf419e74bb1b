// Softmax and its kin over the last axis: x is [rows, C], a warp has a row. f is called by all lanes of a warp, and its
// loops over lane, lane + 32, ... meet again at each sum.
#pragma once
#include "../math.h"
#include "reduce.h"

namespace bayes {
namespace cuda {

template <class F>
__global__ void __launch_bounds__(BLOCK) rowsKernel(long rows, long c, F f) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const long row = firstElement() / 32;
  if (row < rows) f(row, c, lane);  // the same for all lanes of a warp
}
template <class F>
void forRows(const Tensor& x, const Launch& l, F f) {
  const long c = x.dim(-1), rows = x.size() / c;
  launch(rowsKernel<F>, static_cast<unsigned>(ceilDiv(rows, BLOCK / 32)), BLOCK, 0, l.stream, rows, c, f);
}

__device__ __forceinline__ float rowMax(const float* x, long c, int lane) {
  float m = -INFINITY;
  for (long i = lane; i < c; i += 32) m = x[i] > m ? x[i] : m;
  return warpMax(m);
}
// ln sum e^(x - max), from the terms below the maximum: exact to the last digits where one class has all the mass.
__device__ __forceinline__ float logSumBelow(const float* x, float max, long c, int lane) {
  float below = 0, ties = 0;
  for (long i = lane; i < c; i += 32) {
    if (x[i] == max) ties += 1;
    else below += expf(x[i] - max);
  }
  return log1pf(warpSum(below) + (warpSum(ties) - 1.f));
}

}  // namespace cuda
}  // namespace bayes
