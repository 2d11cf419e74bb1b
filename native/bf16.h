// bfloat16: the upper half of a float. A product in bf16 rounds both of its operands while they are packed, and adds in
// float32; everything around it is float32 (docs/design.md).
#pragma once
#include "simd.h"

namespace bayes {
namespace ISA {

// How a product reads its operands: as they are, or rounded to bfloat16.
enum Form { FLOAT, ROUNDED };

// The nearest bfloat16, ties to even. A NaN stays one; what is too large becomes infinity.
INL vf bf16(vf a) {
  const vu u = (vu)a, rounded = u + 0x7fffu + (u >> 16 & 1u);
  return (vf)((a == a ? rounded : u | 0x400000u) & 0xffff0000u);
}

// n packed floats, to what the form wants them to be.
static inline void convertBlock(float* d, long n, Form form) {
  if (form == ROUNDED)
    for (long i = 0; i < n; i += W) store(d + i, bf16(load(d + i)));
}

}  // namespace ISA
}  // namespace bayes
