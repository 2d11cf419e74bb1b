// What a product reads: one tensor, or the two operands of a Bayesian layer's routes, made element by element while
// they are copied into panels. The gradient of the activation behind a layer is made here too, so that dL/dz of a fused
// layer never lies in memory.
#pragma once
#include "../../cpu/scratch.h"
#include "../../vector/activation.h"
#include "../../vector/bf16.h"

namespace bayes {
namespace ISA {

// The weights of the routes, [kh][kw][c][k], and memory for them as a product reads them: where it is not scratch, they
// may lie there already.
struct Weights {
  const float *w1, *w2;
  Bump* kept = nullptr;  // null: scratch memory
  bool packed = false;
};

// The operands of the two routes, element by element: a alone; a and a^2; a and a*b; a and b.
enum OperandKind { ONE, SQUARE, PRODUCT, BOTH };
struct Operands {
  const float *a, *b;  // tensors of the same shape: an image [n][h][w][c] or a map [n][ho][wo][k]
  OperandKind kind;
  // ONE and PRODUCT only: where there is an activation, a is dL/dy, and the a of every route is a * act'(y) = dL/dz
  Activation activation = IDENTITY;
  float slope = 0;
  const float* y = nullptr;
  INL int routes() const { return kind == ONE ? 1 : 2; }
  INL Operands first() const { return {a, nullptr, ONE, activation, slope, y}; }
  // A route that needs no making, or null.
  INL const float* asItIs(bool second) const {
    if (activation != IDENTITY) return nullptr;
    return !second ? a : kind == BOTH ? b : nullptr;
  }
};

// Kind, activation and encoding as one number, the template argument of everything that makes elements.
constexpr int ONE_LEAKY = ONE + 4 * LEAKY, PRODUCT_LEAKY = PRODUCT + 4 * LEAKY;
constexpr int ONE_SOFTPLUS = ONE + 4 * SOFTPLUS, PRODUCT_SOFTPLUS = PRODUCT + 4 * SOFTPLUS;
constexpr int ENCODING_STEP = 16;
template <int K>
struct KindOf {
  static constexpr int value = K;
};
// f(KindOf<K>()) for the pair's K:  withKind(src, [&](auto K) { packKind<K.value>(g, src, ...); });
template <int ENCODING = FLOAT, class F>
INL void withKind(const Operands& p, F f) {
  constexpr int AS = ENCODING * ENCODING_STEP;
  switch (p.kind + 4 * p.activation) {
    case ONE:
      return f(KindOf<AS + ONE>());
    case SQUARE:
      return f(KindOf<AS + SQUARE>());
    case PRODUCT:
      return f(KindOf<AS + PRODUCT>());
    case BOTH:
      return f(KindOf<AS + BOTH>());
    case ONE_LEAKY:
      return f(KindOf<AS + ONE_LEAKY>());
    case PRODUCT_LEAKY:
      return f(KindOf<AS + PRODUCT_LEAKY>());
    case ONE_SOFTPLUS:
      return f(KindOf<AS + ONE_SOFTPLUS>());
    default:
      return f(KindOf<AS + PRODUCT_SOFTPLUS>());
  }
}

template <class F>
INL void withKind(const Operands& p, Encoding encoding, F f) {
  if (encoding == FLOAT) withKind<FLOAT>(p, f);
  else withKind<ROUNDED>(p, f);
}

// Elements at .. at + min(W, left) of both routes, whatever the encoding; zeros in the lanes beyond, and in b of a
// single route.
template <int K>
INL void elements(const Operands& p, long at, long left, vf& a, vf& b) {
  constexpr int KIND = K % 4, ACTIVATION = K / 4 % 4;
  a = loadn(p.a + at, left), b = vf{};
  if (ACTIVATION != IDENTITY) a = beforeActivation<ACTIVATION>(a, loadn(p.y + at, left), set1(p.slope));
  if (KIND == SQUARE) b = a * a;
  if (KIND == PRODUCT) b = a * loadn(p.b + at, left);
  if (KIND == BOTH) b = loadn(p.b + at, left);
}

// Into the cache, for a later call of elements; where it lies beyond the tensors, nothing happens.
template <int K>
INL void prefetch(const Operands& p, long at, long n) {
  for (long i = 0; i < n; i += 16) {
    __builtin_prefetch(p.a + at + i);
    if (K % 4 >= PRODUCT) __builtin_prefetch(p.b + at + i);
    if (K / 4 % 4 != IDENTITY) __builtin_prefetch(p.y + at + i);
  }
}

// What a panel holds of an element.
template <int K>
INL vf encoded(vf a) {
  return K / ENCODING_STEP == FLOAT ? a : bf16(a);
}

// d = a, d2 = the second route. Writes up to W - 1 elements beyond n (zeros): rows are written in order and have slack
// at the end.
template <int K>
INL void copyRun(const Operands& p, long at, float* d, float* d2, long n) {
  for (long i = 0; i < n; i += W) {
    vf a, b;
    elements<K>(p, at + i, n - i, a, b);
    if (K / ENCODING_STEP == PAIRS) {
      storeHalves(d + i / 2, a);
      if (K % 4 != ONE) storeHalves(d2 + i / 2, b);
    } else {
      store(d + i, encoded<K>(a));
      if (K % 4 != ONE) store(d2 + i, encoded<K>(b));
    }
  }
}
// The same of two runs, `next` elements apart, a word of both; 0: there is one run, and zeros.
template <int K>
INL void copyRuns(const Operands& p, long at, long next, float* d, float* d2, long n) {
  for (long i = 0; i < n; i += W) {
    vf a, b, c{}, e{};
    elements<K>(p, at + i, n - i, a, b);
    if (next) elements<K>(p, at + next + i, n - i, c, e);
    store(d + i, words(a, c));
    if (K % 4 != ONE) store(d2 + i, words(b, e));
  }
}
template <int K>
INL void zeroRun(float* d, float* d2, long n) {
  for (long i = 0; i < n; i += W) {
    store(d + i, vf{});
    if (K % 4 != ONE) store(d2 + i, vf{});
  }
}

// A product takes memory, for its weights and for itself, and runs unless that is only counted.
template <class P, class E>
INL void runProduct(P product, Bump& b, const Operands& x, const Weights& w, const E& epilogue) {
  product.takeWeights(w.kept ? *w.kept : b);
  product.take(b);
  if (!b.base) return;
  if (!w.packed) product.pack(w.w1, w.w2);
  product.run(x, epilogue);
}

}  // namespace ISA
}  // namespace bayes
