// Blocks of 8 x 8 floats, transposed: the way into vectors whose lanes are not neighbours in memory, and back.
#pragma once
#include "simd.h"

namespace bayes {
namespace ISA {

#if defined(__AVX2__)
// d[t * ld + j] = s[j * lds + t], 8 x 8
INL void transpose8(float* d, long ld, const float* s, long lds) {
  __m256 a[8], b[8];
#pragma GCC unroll 8
  for (int j = 0; j < 8; j++) a[j] = _mm256_loadu_ps(s + j * lds);
#pragma GCC unroll 4
  for (int j = 0; j < 8; j += 2)
    b[j] = _mm256_unpacklo_ps(a[j], a[j + 1]), b[j + 1] = _mm256_unpackhi_ps(a[j], a[j + 1]);
#pragma GCC unroll 2
  for (int j = 0; j < 8; j += 4)
#pragma GCC unroll 2
    for (int h = 0; h < 2; h++) {
      a[j + 2 * h] = _mm256_shuffle_ps(b[j + h], b[j + 2 + h], 0x44);
      a[j + 2 * h + 1] = _mm256_shuffle_ps(b[j + h], b[j + 2 + h], 0xee);
    }
#pragma GCC unroll 4
  for (int t = 0; t < 4; t++) {
    _mm256_storeu_ps(d + t * ld, _mm256_permute2f128_ps(a[t], a[t + 4], 0x20));
    _mm256_storeu_ps(d + (t + 4) * ld, _mm256_permute2f128_ps(a[t], a[t + 4], 0x31));
  }
}
#else
INL void transpose8(float* d, long ld, const float* s, long lds) {
  for (int t = 0; t < 8; t++)
    for (int j = 0; j < 8; j++) d[t * ld + j] = s[j * lds + t];
}
#endif

}  // namespace ISA
}  // namespace bayes
