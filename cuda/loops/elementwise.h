// Ops that map equal shapes to an equal shape, one element at a time; f is a functor whose () is for the device.
//   struct Exp { __device__ __forceinline__ float operator()(float x) const { return expf(x); } };
//   OP(exp, "") { unary(s, l, Exp()); }
// Bound by the bandwidth of the memory. All of them take lists (lists.h): the inputs of one result, those of a second,
// ...
#pragma once
#include "lists.h"

namespace bayes {
namespace cuda {

template <class F>
__global__ void __launch_bounds__(BLOCK) unaryKernel(const float* x, float* y, long n, F f) {
  for (long i = firstElement(), by = elementStep(); i < n; i += by) y[i] = f(x[i]);
}
template <class F>
__global__ void __launch_bounds__(BLOCK) binaryKernel(const float* a, const float* b, float* y, long n, F f) {
  for (long i = firstElement(), by = elementStep(); i < n; i += by) y[i] = f(a[i], b[i]);
}

// f of the inputs of a group, into its output
template <class F>
struct ListOf1 {
  F f;
  __device__ __forceinline__ void operator()(void* const* t, long i) const { floats(t[1])[i] = f(floats(t[0])[i]); }
};
template <class F>
struct ListOf2 {
  F f;
  __device__ __forceinline__ void operator()(void* const* t, long i) const {
    floats(t[2])[i] = f(floats(t[0])[i], floats(t[1])[i]);
  }
};
template <class F>
struct ListOf3 {
  F f;
  __device__ __forceinline__ void operator()(void* const* t, long i) const {
    floats(t[3])[i] = f(floats(t[0])[i], floats(t[1])[i], floats(t[2])[i]);
  }
};

// out = f(in)
template <class F>
void unary(const Step& s, const Launch& l, F f) {
  const long n = s.out[0].size();
  if (s.nout > 1) eachOfList<2>(s, l, 0, 1, 1, ListOf1<F>{f});
  else launch(unaryKernel<F>, gridFor(n, l), BLOCK, 0, l.stream, s.in[0].f32(), s.out[0].f32(), n, f);
}
// out = f(in, in), equal shapes: most gradients are f(dy, x) or f(dy, y)
template <class F>
void binary(const Step& s, const Launch& l, F f) {
  const long n = s.out[0].size();
  if (s.nout > 1) eachOfList<3>(s, l, 0, 2, 1, ListOf2<F>{f});
  else launch(binaryKernel<F>, gridFor(n, l), BLOCK, 0, l.stream, s.in[0].f32(), s.in[1].f32(), s.out[0].f32(), n, f);
}
// out = f(in, in, in), equal shapes
template <class F>
void ternary(const Step& s, const Launch& l, F f) {
  eachOfList<4>(s, l, 0, 3, 1, ListOf3<F>{f});
}

}  // namespace cuda
}  // namespace bayes
