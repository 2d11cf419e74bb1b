// Softmax and its kin over the last axis: x is [rows, C], rows are the tasks. Maxima first, so that no e^x overflows.
#pragma once
#include "../vector/vmath.h"

namespace bayes {
namespace ISA {

template <class F>
INL void forRows(const Tensor& x, F f) {  // f(row, C)
  const long c = x.dim(-1), rows = x.size() / c;
  parallelRange(rows, maxl(1, 4096 / c), [=](long from, long to) {
    for (long r = from; r < to; r++) f(r, c);
  });
}
// The contract of logits [N, C] that have labels [B]: row q has label q mod B.
static inline void labelledRows(Contract& c) {
  c.expect(c['N'] % c['B'] == 0, "rows of logits as a multiple of the %ld labels, received %ld", c['B'], c['N']);
}
INL float rowMax(const float* x, long n) {  // a NaN may or may not show: the sums after it do
  vf m = set1(-__builtin_inff());
  for (long i = 0; i < n; i += W) {
    const vf v = loadn(x + i, n - i);
    m = maxv(n - i >= W ? v : select(lanes() < set1i((int)(n - i)), v, m), m);
  }
  float best = m[0];
  for (int i = 1; i < W; i++) best = m[i] > best ? m[i] : best;
  return best;
}
template <class F>
INL float rowSum(long n, F term) {  // term(i, left)
  vf acc{};
  for (long i = 0; i < n; i += W) acc += firstn(term(i, n - i), n - i);
  return sum(acc);
}
INL float scalarLog1p(float x) { return log1pv(set1(x))[0]; }

// ln sum e^(x - max), from the terms below the maximum: exact to the last digits where one class has all the mass.
INL float logSumBelow(const float* x, float max, long n) {
  const vf m = set1(max);
  const float below = rowSum(n, [=](long i, long k) {
    const vf v = loadn(x + i, k);
    return select(v == m, vf{}, expv(v - m));
  });
  const float ties = rowSum(n, [=](long i, long k) { return select(loadn(x + i, k) == m, set1(1.f), vf{}); });
  return scalarLog1p(below + (ties - 1.f));
}

}  // namespace ISA
}  // namespace bayes
