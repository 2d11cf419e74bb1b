// A loop over elements: blocks walk a tensor in strides of the grid.
#pragma once
#include "../op.h"

namespace bayes {
namespace cuda {

constexpr int BLOCK = 256;

// Enough blocks to fill the card, and no more than there are elements.
inline unsigned gridFor(long n, const Launch& l, long perBlock = BLOCK) {
  const long wanted = ceilDiv(n, perBlock), most = static_cast<long>(l.card.sms) * 8;
  return static_cast<unsigned>(wanted < 1 ? 1 : wanted < most ? wanted : most);
}
// This thread's first element, and the step to its next.
__device__ __forceinline__ long firstElement() { return static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ long elementStep() { return static_cast<long>(gridDim.x) * blockDim.x; }

// each(i) for all i in [0, n): f reads and writes what it wants of element i.
template <class F>
__global__ void __launch_bounds__(BLOCK) eachKernel(long n, F f) {
  for (long i = firstElement(), by = elementStep(); i < n; i += by) f(i);
}
template <class F>
void each(long n, const Launch& l, F f) {
  launch(eachKernel<F>, gridFor(n, l), BLOCK, 0, l.stream, n, f);
}
// The same of a step that commits.
template <class F>
__global__ void __launch_bounds__(BLOCK) committedKernel(const Fault* fault, long n, F f) {
  if (stopped(fault)) return;
  for (long i = firstElement(), by = elementStep(); i < n; i += by) f(i);
}
template <class F>
void eachCommitted(long n, const Launch& l, F f) {
  launch(committedKernel<F>, gridFor(n, l), BLOCK, 0, l.stream, static_cast<const Fault*>(l.fault), n, f);
}

}  // namespace cuda
}  // namespace bayes
