// Bytes in and out of vector lanes. (Written out, since g++ 12 goes lane by lane for __builtin_convertvector here; the
// masked forms of AVX-512 compile to the plain ones and spare a false warning.)
#pragma once
#include "simd.h"
namespace bayes {
namespace ISA {

#if defined(__AVX512F__)
INL vi fromBytes(const uint8_t* p) {
  return (vi)_mm512_maskz_cvtepu8_epi32(0xffff, _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
INL void toBytes(uint8_t* p, vi v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_maskz_cvtepi32_epi8(0xffff, (__m512i)v));
}
#elif defined(__AVX2__)
INL vi fromBytes(const uint8_t* p) {
  return (vi)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}
INL void toBytes(uint8_t* p, vi v) {
  const __m128i low = _mm256_castsi256_si128((__m256i)v), high = _mm256_extracti128_si256((__m256i)v, 1);
  const __m128i words = _mm_packs_epi32(low, high);
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(words, words));
}
#elif defined(__x86_64__)
INL vi fromBytes(const uint8_t* p) {
  int32_t four;
  memcpy(&four, p, 4);
  const __m128i zero = _mm_setzero_si128();
  return (vi)_mm_unpacklo_epi16(_mm_unpacklo_epi8(_mm_cvtsi32_si128(four), zero), zero);
}
INL void toBytes(uint8_t* p, vi v) {
  const __m128i words = _mm_packs_epi32((__m128i)v, (__m128i)v);
  const int32_t four = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
  memcpy(p, &four, 4);
}
#else
typedef uint8_t vb __attribute__((vector_size(VBYTES / 4)));
INL vi fromBytes(const uint8_t* p) {
  vb b;
  memcpy(&b, p, W);
  return __builtin_convertvector(b, vi);
}
INL void toBytes(uint8_t* p, vi v) {
  const vb b = __builtin_convertvector(v, vb);
  memcpy(p, &b, W);
}
#endif

INL vi loadBytes(const uint8_t* p, long n) {  // n >= W: a whole vector; else the first n lanes, the others 0
  if (n >= W) return fromBytes(p);
  uint8_t some[W] = {};
  for (long i = 0; i < n; i++) some[i] = p[i];
  return fromBytes(some);
}
INL void storeBytes(uint8_t* p, vi v, long n) {  // lanes from 0 to 255
  if (n >= W) return toBytes(p, v);
  uint8_t some[W];
  toBytes(some, v);
  for (long i = 0; i < n; i++) p[i] = some[i];
}

}  // namespace ISA
}  // namespace bayes
