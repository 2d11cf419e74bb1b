// N vectors that take every step together. A long chain of dependent instructions keeps the processor waiting, and it
// does not look far enough ahead to start the next one by itself: written so, two of them alternate.
#pragma once
#include "simd.h"

namespace bayes {
namespace ISA {

template <class V, int N>
struct Wide {
  V v[N];
  Wide() = default;
  template <class F>
  INL explicit Wide(F each) {
#pragma GCC unroll 4
    for (int i = 0; i < N; i++) v[i] = each(i);
  }
  template <class X>
  INL explicit Wide(const Wide<X, N>& a) : Wide([&](int i) { return (V)a.v[i]; }) {}
  INL Wide(decltype(V{}[0] + 0) scalar) : Wide([&](int) { return scalar - V{}; }) {}

  INL friend Wide operator+(Wide a, Wide b) {
    return Wide([&](int i) { return a.v[i] + b.v[i]; });
  }
  INL friend Wide operator-(Wide a, Wide b) {
    return Wide([&](int i) { return a.v[i] - b.v[i]; });
  }
  INL friend Wide operator*(Wide a, Wide b) {
    return Wide([&](int i) { return a.v[i] * b.v[i]; });
  }
  INL friend Wide operator&(Wide a, Wide b) {
    return Wide([&](int i) { return a.v[i] & b.v[i]; });
  }
  INL friend Wide operator^(Wide a, Wide b) {
    return Wide([&](int i) { return a.v[i] ^ b.v[i]; });
  }
  INL friend Wide operator>>(Wide a, int n) {
    return Wide([&](int i) { return a.v[i] >> n; });
  }
  INL friend Wide operator<<(Wide a, int n) {
    return Wide([&](int i) { return a.v[i] << n; });
  }
  INL friend Wide operator~(Wide a) {
    return Wide([&](int i) { return ~a.v[i]; });
  }
};

}  // namespace ISA
}  // namespace bayes
