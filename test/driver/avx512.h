// Stands in for AVX-512 on a CPU without it: put in front of every source (-include) of a build with -mavx2, it makes
// the kernels take their AVX-512 paths, on vectors of 16 floats that the compiler splits, and defines the few
// intrinsics they use by what Intel's guide says they do, lane by lane.
#pragma once
#include <immintrin.h>
#include <cmath>
#include <cstdint>
#include <cstring>

#define __AVX512F__ 1
#define __AVX512DQ__ 1
#define __AVX512BW__ 1
#define __AVX512VL__ 1
#define __AVX512BF16__ 1
#define __builtin_cpu_supports(feature) 1

namespace emulated {

typedef float Floats __attribute__((vector_size(64)));
typedef int64_t Longs __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint32_t Words __attribute__((vector_size(64)));
typedef uint64_t Quads __attribute__((vector_size(64)));
#define STAND_IN static inline __attribute__((always_inline))

template <class V, class F>
STAND_IN V lanes(F f) {
  V v;
  for (int i = 0; i < static_cast<int>(sizeof v / sizeof v[0]); i++) v[i] = f(i);
  return v;
}

STAND_IN Floats load(unsigned mask, const float* p) {
  return lanes<Floats>([&](int i) { return mask >> i & 1 ? p[i] : 0.f; });  // reads no masked lane
}
STAND_IN void storeMasked(float* p, unsigned mask, Floats v) {
  for (int i = 0; i < 16; i++)
    if (mask >> i & 1) p[i] = v[i];
}
STAND_IN __m256 half(const Floats& v, int i) {
  __m256 h;
  memcpy(&h, reinterpret_cast<const char*>(&v) + 32 * i, 32);
  return h;
}
STAND_IN Floats whole(__m256 low, __m256 high) {
  Floats v;
  memcpy(&v, &low, 32), memcpy(reinterpret_cast<char*>(&v) + 32, &high, 32);
  return v;
}
template <class F>
STAND_IN Floats halves(F f) {
  return whole(f(0), f(1));
}
STAND_IN Floats fma(Floats a, Floats b, Floats c) {
  return halves([&](int i) { return _mm256_fmadd_ps(half(a, i), half(b, i), half(c, i)); });
}
STAND_IN Floats root(Floats a) {
  return halves([&](int i) { return _mm256_sqrt_ps(half(a, i)); });
}
// the second operand where either is NaN
STAND_IN Floats most(Floats a, Floats b) { return lanes<Floats>([&](int i) { return a[i] > b[i] ? a[i] : b[i]; }); }
STAND_IN Floats least(Floats a, Floats b) { return lanes<Floats>([&](int i) { return a[i] < b[i] ? a[i] : b[i]; }); }
STAND_IN Floats permuted(Longs lanes1, Floats a) {
  return lanes<Floats>([&](int i) { return a[((Ints)lanes1)[i] & 15]; });
}
STAND_IN unsigned signs(Longs a) {
  const Ints words = (Ints)a;
  unsigned mask = 0;
  for (int i = 0; i < 16; i++) mask |= static_cast<unsigned>(words[i] < 0) << i;
  return mask;
}
// a pair of lanes of a and then of b, in each four
template <int A0, int A1, int B0, int B1>
STAND_IN Floats shuffle(Floats a, Floats b) {
  return lanes<Floats>([&](int i) {
    const int at = i & ~3, from[] = {A0, A1, B0, B1};
    return (i & 3) < 2 ? a[at + from[i & 3]] : b[at + from[i & 3]];
  });
}
STAND_IN Floats unpack(Floats a, Floats b, int first) {
  return lanes<Floats>([&](int i) { return (i & 1 ? b : a)[(i & ~3) + first + (i & 3) / 2]; });
}
STAND_IN Longs multiplyLow(Longs a, Longs b) {
  return (Longs)(((Quads)a & 0xffffffffu) * ((Quads)b & 0xffffffffu));
}
STAND_IN Longs widen(__m128i bytes) {
  uint8_t b[16];
  memcpy(b, &bytes, 16);
  return (Longs)lanes<Ints>([&](int i) { return b[i]; });
}
STAND_IN __m128i narrow(Longs a) {
  uint8_t b[16];
  for (int i = 0; i < 16; i++) b[i] = static_cast<uint8_t>(((Words)a)[i]);
  __m128i bytes;
  memcpy(&bytes, b, 16);
  return bytes;
}
// Denormals are zeros, of what goes in and of what comes out; the upper half of a word comes first.
STAND_IN Floats flush(Floats v) {
  return lanes<Floats>([&](int i) { return std::fpclassify(v[i]) == FP_SUBNORMAL ? std::copysign(0.f, v[i]) : v[i]; });
}
template <class A, class B>
STAND_IN Floats multiplyPairs(Floats sum, A a, B b) {
  const Words x = (Words)a, y = (Words)b;
  const Floats upper = fma(flush((Floats)(x & 0xffff0000u)), flush((Floats)(y & 0xffff0000u)), flush(sum));
  return flush(fma(flush((Floats)(x << 16)), flush((Floats)(y << 16)), flush(upper)));
}

}  // namespace emulated

#define _mm512_maskz_loadu_ps(mask, p) emulated::load(mask, p)
#define _mm512_mask_storeu_ps(p, mask, v) emulated::storeMasked(p, mask, v)
#define _mm512_fmadd_ps(a, b, c) emulated::fma(a, b, c)
#define _mm512_maskz_sqrt_ps(mask, a) emulated::root(a)
#define _mm512_maskz_max_ps(mask, a, b) emulated::most(a, b)
#define _mm512_maskz_min_ps(mask, a, b) emulated::least(a, b)
#define _mm512_maskz_permutexvar_ps(mask, lanes, a) emulated::permuted((emulated::Longs)(lanes), a)
#define _mm512_movepi32_mask(a) emulated::signs((emulated::Longs)(a))
#define _mm512_maskz_mul_epu32(mask, a, b) emulated::multiplyLow((emulated::Longs)(a), (emulated::Longs)(b))
#define _mm512_maskz_unpacklo_ps(mask, a, b) emulated::unpack(a, b, 0)
#define _mm512_maskz_unpackhi_ps(mask, a, b) emulated::unpack(a, b, 2)
#define _mm512_maskz_shuffle_ps(mask, a, b, which) \
  emulated::shuffle<(which) & 3, ((which) >> 2 & 3), ((which) >> 4 & 3), ((which) >> 6)>(a, b)
#define _mm512_maskz_cvtepu8_epi32(mask, bytes) emulated::widen(bytes)
#define _mm512_maskz_cvtepi32_epi8(mask, a) emulated::narrow((emulated::Longs)(a))
#define _mm512_dpbf16_ps(sum, a, b) emulated::multiplyPairs(sum, a, b)
