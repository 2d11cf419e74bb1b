// Sums that depend on shapes alone: lanes of float32 over blocks of 256 elements, blocks in float64 in order, chunks
// of 8,192 elements as tasks, chunk sums in order.
#pragma once
#include "vmath.h"

namespace bayes {
namespace ISA {

constexpr long SUM_CHUNK = 8192, SUM_BLOCK = 256;

INL size_t sumScratch(long n) { return (size_t)ceilDiv(n, SUM_CHUNK) * sizeof(double); }

// Sum of term(i, left) over [from, to) in vectors; `left` elements count from i on (the rest is masked here).
template <class F>
INL double rangeSum(long from, long to, F term) {
  double total = 0;
  for (long b = from; b < to; b += SUM_BLOCK) {
    const long end = minl(b + SUM_BLOCK, to);
    vf even{}, odd{};  // two chains, so that a long term does not wait for itself
    long i = b;
    for (; i + 2 * W <= end; i += 2 * W) even += term(i, W), odd += term(i + W, W);
    for (; i < end; i += W) even += firstn(term(i, end - i), end - i);
    total += (double)sum(even + odd);
  }
  return total;
}

// Sum over [0, n) by the pool; `partial` holds sumScratch(n) bytes.
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
