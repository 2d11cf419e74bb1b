// Ops that map equal shapes to an equal shape, one element at a time. Bound by bandwidth, or by the polynomial. All of
// them take lists (groups.h): the inputs of one result, those of a second, ...
//   OP(exp) { unary(s, [](vf x) { return expv(x); }); }
//   CONTRACT(exp) { elementwise(c, "x"); }
#pragma once
#include "../vector/vmath.h"
#include "groups.h"

namespace bayes {
namespace ISA {

constexpr long ELEMENTWISE_GRAIN = 8192;

// The contract: the named inputs and y are of one shape. A vector of y is written when those of the inputs have been
// read.
template <class... Names>
static void elementwise(Contract& c, Names... inputs) {
  do {
    c.anew();
    (c.in(inputs, "f32[...]"), ...);
    c.inPlace(~0u);
    c.out("y", "f32[...]");
  } while (c.inputsLeft());
}

// out = f(in)
template <class F>
INL void unary(Step& s, F f) {
  Groups{s, 0, 1, ELEMENTWISE_GRAIN}.each([&](const Tensor* in, long group, long from, long to, long) {
    const float* x = in[0].f32();
    float* y = s.out[group].f32();
    eachVector(from, to, [=](long i, long n) { storen(y + i, f(loadn(x + i, n)), n); });
  });
}

// out = f(in, in), equal shapes: most gradients are f(dy, x) or f(dy, y)
template <class F>
INL void binary(Step& s, F f) {
  Groups{s, 0, 2, ELEMENTWISE_GRAIN}.each([&](const Tensor* in, long group, long from, long to, long) {
    const float *a = in[0].f32(), *b = in[1].f32();
    float* y = s.out[group].f32();
    eachVector(from, to, [=](long i, long n) { storen(y + i, f(loadn(a + i, n), loadn(b + i, n)), n); });
  });
}

// out = f(in, in, in), equal shapes
template <class F>
INL void ternary(Step& s, F f) {
  Groups{s, 0, 3, ELEMENTWISE_GRAIN}.each([&](const Tensor* in, long group, long from, long to, long) {
    const float *a = in[0].f32(), *b = in[1].f32(), *d = in[2].f32();
    float* y = s.out[group].f32();
    eachVector(from, to,
               [=](long i, long n) { storen(y + i, f(loadn(a + i, n), loadn(b + i, n), loadn(d + i, n)), n); });
  });
}

}  // namespace ISA
}  // namespace bayes
