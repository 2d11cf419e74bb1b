// Ops that map equal shapes to an equal shape, one element at a time; f is a functor whose () is for the device.
//   struct Exp { __device__ __forceinline__ float operator()(float x) const { return expf(x); } };
//   OP(exp, "") { unary(s, l, Exp()); }
// Bound by the bandwidth of the memory: blocks walk the tensor in strides of the grid.
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

template <class F>
__global__ void __launch_bounds__(BLOCK) unaryKernel(const float* x, float* y, long n, F f) {
  for (long i = firstElement(), by = elementStep(); i < n; i += by) y[i] = f(x[i]);
}
template <class F>
__global__ void __launch_bounds__(BLOCK) binaryKernel(const float* a, const float* b, float* y, long n, F f) {
  for (long i = firstElement(), by = elementStep(); i < n; i += by) y[i] = f(a[i], b[i]);
}

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

// out[0] = f(in[0])
template <class F>
void unary(const Step& s, const Launch& l, F f) {
  const long n = s.out[0].size();
  launch(unaryKernel<F>, gridFor(n, l), BLOCK, 0, l.stream, s.in[0].f32(), s.out[0].f32(), n, f);
}
// out[0] = f(in[0], in[1]), equal shapes: most gradients are f(dy, x) or f(dy, y)
template <class F>
void binary(const Step& s, const Launch& l, F f) {
  const long n = s.out[0].size();
  launch(binaryKernel<F>, gridFor(n, l), BLOCK, 0, l.stream, s.in[0].f32(), s.in[1].f32(), s.out[0].f32(), n, f);
}

}  // namespace cuda
}  // namespace bayes
