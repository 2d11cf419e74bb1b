// Bytes in and out of vector lanes.
#pragma once
#include "simd.h"
namespace bayes {
namespace ISA {

typedef uint8_t vb __attribute__((vector_size(VBYTES / 4)));

INL vi loadBytes(const uint8_t* p, long n) {  // n >= W: a whole vector; else the first n lanes, the others 0
  vb b{};
  if (n >= W) memcpy(&b, p, W);
  else
    for (long i = 0; i < n; i++) b[i] = p[i];
  return __builtin_convertvector(b, vi);
}
INL void storeBytes(uint8_t* p, vi v, long n) {
  vb b = __builtin_convertvector(v, vb);
  if (n >= W) memcpy(p, &b, W);
  else
    for (long i = 0; i < n; i++) p[i] = b[i];
}

}  // namespace ISA
}  // namespace bayes
