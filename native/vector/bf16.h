// bfloat16: the upper half of a float. A product in bf16 rounds both of its operands while they are packed, and adds in
// float32; everything around it is float32 (docs/kernels.md). Panels hold the rounded floats, or words of two bfloat16s
// of neighbouring steps, for which CPUs have an instruction of twice the throughput: half the steps and half the bytes.
#pragma once
#include "simd.h"

namespace bayes {
namespace ISA {

// What a panel holds: floats as they are; rounded; in words of two, neighbours in a run; or elements of two runs.
enum Encoding { FLOAT, ROUNDED, PAIRS, PAIRS_OF_RUNS };
// Steps of a product that lie in one 32-bit word.
INL long stepsPerWord(Encoding encoding) { return encoding < PAIRS ? 1 : 2; }
// A product that has an encoding in words uses it where that is the faster one.
INL Encoding inPairs(Encoding encoding, Encoding words) {
  return encoding == ROUNDED && bf16Pairs() != NO_PAIRS ? words : encoding;
}

// The nearest bfloat16, ties to even. A NaN stays one; what is too large becomes infinity.
INL vf bf16(vf a) {
  const vu u = (vu)a, rounded = u + 0x7fffu + (u >> 16 & 1u);
  return (vf)((a == a ? rounded : u | 0x400000u) & 0xffff0000u);
}
// Words of a, the earlier step, in the lower half, and b; and those two again.
INL vf words(vf a, vf b) { return (vf)((vu)bf16(a) >> 16 | (vu)bf16(b)); }
INL vf earlier(vf word) { return (vf)((vu)word << 16); }
INL vf later(vf word) { return (vf)((vu)word & 0xffff0000u); }
// W elements as W / 2 words.
INL void storeHalves(float* d, vf a) {
  typedef uint16_t vh __attribute__((vector_size(VBYTES / 2), aligned(2), may_alias));
  *reinterpret_cast<vh*>(d) = __builtin_convertvector((vu)bf16(a) >> 16, vh);
}

// [steps][width] packed floats, to what the encoding wants; words go to the first half.
static inline void convertBlock(float* d, long steps, long width, Encoding encoding) {
  if (encoding == ROUNDED)
    for (long i = 0; i < steps * width; i += W) store(d + i, bf16(load(d + i)));
  if (encoding == PAIRS)
    for (long t = 0; t < steps; t += 2)
      for (long j = 0; j < width; j += W) {
        const float* s = d + t * width + j;
        store(d + t / 2 * width + j, words(load(s), t + 1 < steps ? load(s + width) : vf{}));
      }
}

// a + x w, for words the later step first and then the earlier one, each rounded to float32, as the instruction has it.
// (That one takes denormals for zero.)
template <int HOW>
INL vf multiplyAdd(vf x, vf w, vf a) {
  if (HOW == NO_PAIRS) return fma(x, w, a);
#if defined(__AVX512BF16__)
  if (HOW == INSTRUCTION) return (vf)_mm512_dpbf16_ps((__m512)a, (__m512bh)x, (__m512bh)w);
#endif
  return fma(earlier(x), earlier(w), fma(later(x), later(w), a));
}
// A float or a word in all lanes.
template <int HOW>
INL vf broadcast(const float* p) {
  typedef int32_t word __attribute__((may_alias));
  return HOW == NO_PAIRS ? set1(*p) : (vf)set1i(*reinterpret_cast<const word*>(p));
}

}  // namespace ISA
}  // namespace bayes
