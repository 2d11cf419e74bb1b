// Sums that depend on shapes alone: lanes of float32 over blocks of 256 elements, blocks in float64 in order, chunks
// of 8,192 elements as tasks, chunk sums in order.
#pragma once
#include "../vector/vmath.h"

namespace bayes {
namespace ISA {

constexpr long SUM_CHUNK = 8192, SUM_BLOCK = 256;

// A pruning mask as a sum over weights takes it, its last input: what is 0 in it adds an exact 0, and has a gradient of
// 0.
struct Mask {
  const float* keep = nullptr;  // null: all of them
  INL explicit Mask(const Step& s) : Mask(s, s.in + s.nin - 1) {}
  INL Mask(const Step& s, const Tensor* last) {  // of a group
    if (s.attr("masked")) keep = last->f32();
  }
  INL vf of(vf term, long i, long n) const { return keep ? select(loadn(keep + i, n) != 0.f, term, vf{}) : term; }
};

// The contract of a mask, after all other inputs; "..." are the weights.
static inline void maskInput(Contract& c) {
  if (c.flag("masked")) c.in("mask", "f32[...]");
}

// The type of logAlpha, the next input: [1] (shared) or one per weight, "...".
static inline const char* alphaType(const Contract& c) {
  const Tensor* next = c.nextInput();
  return next && next->size() == 1 ? "f32[1...]" : "f32[...]";
}

INL size_t sumScratch(long n) { return (size_t)ceilDiv(n, SUM_CHUNK) * sizeof(double); }

// Sum over [from, to) of block(from, to), one block after the other.
template <class F>
INL double rangeOfBlocks(long from, long to, F block) {
  double total = 0;
  for (long b = from; b < to; b += SUM_BLOCK) total += block(b, minl(b + SUM_BLOCK, to));
  return total;
}

// Sum of term(i, left) over [from, to) in vectors; `left` elements count from i on (the rest is masked here).
template <class F>
INL double rangeSum(long from, long to, F term) {
  return rangeOfBlocks(from, to, [=](long first, long end) {
    vf even{}, odd{};  // two chains, so that a long term does not wait for itself
    long i = first;
    for (; i + 2 * W <= end; i += 2 * W) even += term(i, W), odd += term(i + W, W);
    for (; i < end; i += W) even += firstn(term(i, end - i), end - i);
    return (double)sum(even + odd);
  });
}

// Sum of term(i, left) over [0, n) by the pool, chunk by chunk; `partial` holds sumScratch(n) bytes.
template <class F>
INL double parallelSum(long n, double* partial, F term) {
  const long chunks = ceilDiv(n, SUM_CHUNK);
  parallel(chunks, [&](long t, int) { partial[t] = rangeSum(t * SUM_CHUNK, minl((t + 1) * SUM_CHUNK, n), term); });
  double total = 0;
  for (long t = 0; t < chunks; t++) total += partial[t];
  return total;
}

}  // namespace ISA
}  // namespace bayes
