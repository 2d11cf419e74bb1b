// Ops that map equal shapes to an equal shape, one element at a time. Bound by bandwidth, or by the polynomial.
//   OP(exp) { unary(s, [](vf x) { return expv(x); }); }
//   CONTRACT(exp) { elementwise(c, "x"); }
#pragma once
#include "../vector/vmath.h"

namespace bayes {
namespace ISA {

constexpr long ELEMENTWISE_GRAIN = 8192;

// The contract: the named inputs and y are of one shape. A vector of y is written when those of the inputs have been
// read.
template <class... Names>
static void elementwise(Contract& c, Names... inputs) {
  (c.in(inputs, "f32[...]"), ...);
  c.inPlace(~0u);
  c.out("y", "f32[...]");
}

// out[0] = f(in[0])
template <class F>
INL void unary(Step& s, F f) {
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  parallelRange(s.out[0].size(), ELEMENTWISE_GRAIN, [=](long from, long to) {
    eachVector(from, to, [=](long i, long n) { storen(y + i, f(loadn(x + i, n)), n); });
  });
}

// out[0] = f(in[0], in[1]), equal shapes: most gradients are f(dy, x) or f(dy, y)
template <class F>
INL void binary(Step& s, F f) {
  const float *a = s.in[0].f32(), *b = s.in[1].f32();
  float* y = s.out[0].f32();
  parallelRange(s.out[0].size(), ELEMENTWISE_GRAIN, [=](long from, long to) {
    eachVector(from, to, [=](long i, long n) { storen(y + i, f(loadn(a + i, n), loadn(b + i, n)), n); });
  });
}

}  // namespace ISA
}  // namespace bayes
