// One vector type, three widths: GCC/Clang vector extensions, with intrinsics where the extension has no word for it.
// Contraction is off in the whole build (-ffp-contract=off): a fused multiply-add happens only where fma() is written.
#pragma once
#include "../cpu/op.h"
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define VBYTES 64
#elif defined(__AVX2__)
#define VBYTES 32
#else
#define VBYTES 16
#endif

namespace bayes {
namespace ISA {

constexpr int W = VBYTES / 4;  // floats per vector
typedef float vf __attribute__((vector_size(VBYTES)));
typedef int32_t vi __attribute__((vector_size(VBYTES)));
typedef uint32_t vu __attribute__((vector_size(VBYTES)));
typedef float vfu __attribute__((vector_size(VBYTES), aligned(4), may_alias));
typedef int32_t viu __attribute__((vector_size(VBYTES), aligned(4), may_alias));

INL vf set1(float x) { return x - vf{}; }
INL vi set1i(int32_t x) { return x - vi{}; }
INL vu set1u(uint32_t x) { return x - vu{}; }
INL vf load(const float* p) { return *reinterpret_cast<const vfu*>(p); }
INL void store(float* p, vf v) { *reinterpret_cast<vfu*>(p) = v; }

#if defined(__AVX512F__)
INL vf loadn(const float* p, long n) { return _mm512_maskz_loadu_ps(n >= 16 ? 0xffff : (1u << n) - 1, p); }
INL void storen(float* p, vf v, long n) { _mm512_mask_storeu_ps(p, n >= 16 ? 0xffff : (1u << n) - 1, v); }
INL vf fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
INL vf sqrtv(vf a) { return _mm512_maskz_sqrt_ps(0xffff, a); }
INL vf maxv(vf a, vf b) { return _mm512_maskz_max_ps(0xffff, a, b); }  // b where either is NaN
INL vf minv(vf a, vf b) { return _mm512_maskz_min_ps(0xffff, a, b); }
INL vf permute(vf a, vi lanes) { return _mm512_maskz_permutexvar_ps(0xffff, (__m512i)lanes, a); }  // modulo W
INL float sum(vf a) {
  float s[16];
  store(s, a);
  for (int w = 8; w; w /= 2)
    for (int i = 0; i < w; i++) s[i] += s[i + w];
  return s[0];
}
#else
INL vf loadn(const float* p, long n) {
  if (n >= W) return load(p);
#if defined(__AVX2__)
  return _mm256_maskload_ps(p, (__m256i)(vi{0, 1, 2, 3, 4, 5, 6, 7} < set1i(static_cast<int32_t>(n))));
#else
  vf v{};
  for (long i = 0; i < n; i++) v[i] = p[i];
  return v;
#endif
}
INL void storen(float* p, vf v, long n) {
  if (n >= W) return store(p, v);
  for (long i = 0; i < n; i++) p[i] = v[i];
}
#if defined(__AVX2__)
INL vf fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
INL vf sqrtv(vf a) { return _mm256_sqrt_ps(a); }
INL vf maxv(vf a, vf b) { return _mm256_max_ps(a, b); }
INL vf minv(vf a, vf b) { return _mm256_min_ps(a, b); }
INL vf permute(vf a, vi lanes) { return _mm256_permutevar8x32_ps(a, (__m256i)lanes); }
#elif defined(__aarch64__)
INL vf fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
INL vf sqrtv(vf a) { return vsqrtq_f32(a); }
INL vf maxv(vf a, vf b) { return a > b ? a : b; }
INL vf minv(vf a, vf b) { return a < b ? a : b; }
#elif defined(__x86_64__)
INL vf fma(vf a, vf b, vf c) { return a * b + c; }  // two roundings: SSE2 has no other
INL vf sqrtv(vf a) { return _mm_sqrt_ps(a); }
INL vf maxv(vf a, vf b) { return _mm_max_ps(a, b); }
INL vf minv(vf a, vf b) { return _mm_min_ps(a, b); }
#else
INL vf fma(vf a, vf b, vf c) { return a * b + c; }
INL vf sqrtv(vf a) {
  for (int i = 0; i < W; i++) a[i] = __builtin_sqrtf(a[i]);
  return a;
}
INL vf maxv(vf a, vf b) { return a > b ? a : b; }
INL vf minv(vf a, vf b) { return a < b ? a : b; }
#endif
#if !defined(__AVX2__)
INL vf permute(vf a, vi lanes) {
  vf v;
  for (int i = 0; i < W; i++) v[i] = a[lanes[i] & (W - 1)];
  return v;
}
#endif
INL float sum(vf a) {
  float s[W];
  store(s, a);
  for (int w = W / 2; w; w /= 2)
    for (int i = 0; i < w; i++) s[i] += s[i + w];
  return s[0];
}
#endif

// f(i, n) for the vectors of [from, to), n elements each: W, and what is left. Two at a time: f sees the constant W.
template <class F>
INL void eachVector(long from, long to, F f) {
  long i = from;
  for (; i + 2 * W <= to; i += 2 * W) f(i, (long)W), f(i + W, (long)W);
  for (; i < to; i += W) f(i, to - i);
}

// f(row, offset, channel, left, room) for every vector of the channels [c0, c1) of `rows` rows of k floats, in order:
// `left` are in the row, and `room` floats may be written, for what comes after them is written later by the same task.
template <class F>
INL void eachChannelVector(long rows, long k, long c0, long c1, F f) {
  const long whole = c0 + (c1 - c0) / W * W, end = c0 == 0 && c1 == k ? rows * k : 0;
  for (long i = 0, o = 0; i < rows; i++, o += k) {
    for (long c = c0; c < whole; c += W) f(i, o + c, c, (long)W, (long)W);
    if (whole < c1) f(i, o + whole, whole, c1 - whole, o + whole + W <= end ? (long)W : c1 - whole);
  }
}

INL vf select(vi mask, vf a, vf b) { return mask ? a : b; }
INL bool anyLane(vi mask) {  // of a comparison
#if defined(__AVX512F__)
  return _mm512_movepi32_mask((__m512i)mask) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps((__m256)mask) != 0;
#elif defined(__x86_64__)
  return _mm_movemask_ps((__m128)mask) != 0;
#else
  int any = 0;
  for (int i = 0; i < W; i++) any |= mask[i];
  return any != 0;
#endif
}
INL vi asInt(vf a) { return (vi)a; }
INL vf asFloat(vi a) { return (vf)a; }
INL vf toFloat(vi a) { return __builtin_convertvector(a, vf); }
INL vi toInt(vf a) { return __builtin_convertvector(a, vi); }  // truncates

}  // namespace ISA
}  // namespace bayes
