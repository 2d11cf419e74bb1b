// What a product reads: one tensor, or the two operands of a Bayesian layer's routes, made element by element while
// they are copied into panels.
#pragma once
#include "simd.h"

namespace bayes {
namespace ISA {

// The operands of the two routes, element by element: a alone; a and a^2; a and a*b; a and b.
enum PairKind { ONE, SQUARE, PRODUCT, BOTH };
struct Pair {
  const float *a, *b;
  PairKind kind;
  INL int routes() const { return kind == ONE ? 1 : 2; }
};

// d = a, d2 = the second route. Writes up to W - 1 floats beyond n: rows are written in order and have slack at the
// end.
template <int KIND>
INL void copyRun(const Pair& p, long at, float* d, float* d2, long n) {
  for (long i = 0; i < n; i += W) {
    const vf a = loadn(p.a + at + i, n - i);
    store(d + i, a);
    if (KIND == SQUARE) store(d2 + i, a * a);
    if (KIND == PRODUCT) store(d2 + i, a * loadn(p.b + at + i, n - i));
    if (KIND == BOTH) store(d2 + i, loadn(p.b + at + i, n - i));
  }
}
template <int KIND>
INL void zeroRun(float* d, float* d2, long n) {
  for (long i = 0; i < n; i += W) {
    store(d + i, vf{});
    if (KIND != ONE) store(d2 + i, vf{});
  }
}

}  // namespace ISA
}  // namespace bayes
