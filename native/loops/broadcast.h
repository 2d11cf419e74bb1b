// NumPy broadcasting of two inputs, or a list of pairs of equal shapes (elementwise.h). Neighbouring dimensions that
// move together are merged first, so equal shapes, a scalar, a vector over the last axis and a leading broadcast all
// end as one long inner loop.
#pragma once
#include "elementwise.h"

namespace bayes {
namespace ISA {

struct Walk {  // out = outer dims (strides in elements; 0 repeats) around one inner run
  long rows = 1, inner = 1, stepA = 0, stepB = 0;
  int outer = 0;
  long dims[BAYES_MAX_RANK], a[BAYES_MAX_RANK], b[BAYES_MAX_RANK];

  INL Walk(const Tensor& x, const Tensor& y, const Tensor& out) {
    int n = 0;  // merged dimensions, innermost first
    long d[BAYES_MAX_RANK + 1], sa[BAYES_MAX_RANK + 1], sb[BAYES_MAX_RANK + 1], strideX = 1, strideY = 1;
    for (int k = 1; k <= out.rank; k++) {
      const long size = out.dim(-k), dx = k <= x.rank ? x.dim(-k) : 1, dy = k <= y.rank ? y.dim(-k) : 1;
      const long ax = dx == 1 ? 0 : strideX, ay = dy == 1 ? 0 : strideY;
      strideX *= dx, strideY *= dy;
      if (size == 1) continue;
      if (n && ax == sa[n - 1] * d[n - 1] && ay == sb[n - 1] * d[n - 1]) d[n - 1] *= size;
      else d[n] = size, sa[n] = ax, sb[n] = ay, n++;
    }
    if (n) inner = d[0], stepA = sa[0], stepB = sb[0];
    for (int i = n - 1; i > 0; i--) dims[outer] = d[i], a[outer] = sa[i], b[outer] = sb[i], rows *= d[i], outer++;
  }
  INL void offsets(long row, long& oa, long& ob) const {
    oa = ob = 0;
    for (int i = outer - 1; i >= 0; i--) {
      const long k = row % dims[i];
      row /= dims[i], oa += k * a[i], ob += k * b[i];
    }
  }
};

// The contract: NumPy's rule, aligned at the last axis, where an axis of size 1 stretches.
static inline void broadcasts(Contract& c, const Tensor& a, const Tensor& b, const Tensor& y) {
  bool fits = y.rank == maxl(a.rank, b.rank);
  for (int k = 1; fits && k <= y.rank; k++) {
    const long p = k <= a.rank ? a.dim(-k) : 1, q = k <= b.rank ? b.dim(-k) : 1;
    fits = (p == q || p == 1 || q == 1) && y.dim(-k) == maxl(p, q);
  }
  if (!fits) c.refuse("y as what %s and %s broadcast to, received %s", c.typeOf(a), c.typeOf(b), c.typeOf(y));
}
static inline void broadcastContract(Contract& c) {
  if (c.inputsLeft() > 2) return elementwise(c, "a", "b");
  const Tensor &a = c.in("a", "f32[*]"), &b = c.in("b", "f32[*]");
  c.inPlace(3);  // where an input is as large as y
  broadcasts(c, a, b, c.out("y", "f32[*]"));
}

// out[0] = f(in[0], in[1]), broadcast
template <class F>
INL void broadcastBinary(Step& s, const Tensor& x, const Tensor& y, F f) {
  constexpr long grain = 8192;
  const Walk w(x, y, s.out[0]);
  const float *pa = x.f32(), *pb = y.f32();
  float* out = s.out[0].f32();
  const long pieces = ceilDiv(w.inner, grain), rowsPerTask = maxl(1, grain / w.inner);
  parallel(ceilDiv(w.rows, rowsPerTask) * pieces, [&](long task, int) {
    const long from = task % pieces * grain, to = minl(from + grain, w.inner);
    const long row0 = task / pieces * rowsPerTask, row1 = minl(row0 + rowsPerTask, w.rows);
    for (long row = row0; row < row1; row++) {
      long oa, ob;
      w.offsets(row, oa, ob);
      const float *a = pa + oa, *b = pb + ob;
      float* o = out + row * w.inner;
      if (w.stepA && w.stepB)
        for (long i = from; i < to; i += W) storen(o + i, f(loadn(a + i, to - i), loadn(b + i, to - i)), to - i);
      else if (w.stepA)
        for (long i = from; i < to; i += W) storen(o + i, f(loadn(a + i, to - i), set1(*b)), to - i);
      else if (w.stepB)
        for (long i = from; i < to; i += W) storen(o + i, f(set1(*a), loadn(b + i, to - i)), to - i);
      else {  // both repeat: a broadcastTo, or a single element
        const vf v = f(set1(*a), set1(*b));
        for (long i = from; i < to; i += W) storen(o + i, v, to - i);
      }
    }
  });
}

// The same of the step's inputs
template <class F>
INL void broadcastBinary(Step& s, F f) {
  if (s.nin > 2) binary(s, f);
  else broadcastBinary(s, s.in[0], s.in[1], f);
}

}  // namespace ISA
}  // namespace bayes
