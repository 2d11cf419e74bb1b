// Sums and maxima over the lanes of a warp and the threads of a block, in an order that no schedule changes.
#pragma once
#include "elementwise.h"

namespace bayes {
namespace cuda {

// All lanes take part, and all get the sum.
template <class T>
__device__ __forceinline__ T warpSum(T v) {
  for (int mask = 16; mask; mask >>= 1) v += exchange(v, mask);
  return v;
}
__device__ __forceinline__ float warpMax(float v) {
  for (int mask = 16; mask; mask >>= 1) {
    const float other = exchange(v, mask);
    v = other > v ? other : v;
  }
  return v;
}
// All threads of a block of BLOCK take part, and all get the sum. `room`: BLOCK / 32 doubles of shared memory, which
// are free again behind the next barrier.
__device__ __forceinline__ double blockSum(double v, double* room) {
  v = warpSum(v);
  if (threadIdx.x % 32 == 0) room[threadIdx.x / 32] = v;
  blockBarrier();
  double total = 0;
  for (int i = 0; i < BLOCK / 32; i++) total += room[i];
  return total;
}
constexpr size_t ROOM = BLOCK / 32 * sizeof(double);

}  // namespace cuda
}  // namespace bayes
