// Sum over the neighbouring axes [from, to): x seen as [O, R, I] -> [O, I]. One read of x. R is cut into chunks by
// shape alone; a chunk is summed in float32, chunks in float64 in order.
#include "../loops/sum.h"
namespace bayes {
namespace ISA {

struct SumShape {
  long o = 1, r = 1, i = 1, chunk, chunks;
  INL explicit SumShape(const Step& s) {
    const Tensor& x = s.in[0];
    const int from = (int)s.attr("from"), to = (int)s.attr("to");
    for (int k = 0; k < x.rank; k++) (k < from ? o : k < to ? r : i) *= x.dims[k];
    chunk = i == 1 ? SUM_CHUNK : maxl(16, minl(256, 16384 / i));
    chunks = ceilDiv(r, chunk);
  }
};

// [R] at x + row, one chunk per task: many short rows share a task
INL void sumRows(const SumShape& d, const float* x, double* partial) {
  const long rowsPerTask = maxl(1, SUM_CHUNK / d.r);
  parallel(ceilDiv(d.o, rowsPerTask) * d.chunks, [=](long task, int) {
    const long from = task % d.chunks * d.chunk, to = minl(from + d.chunk, d.r);
    const long row0 = task / d.chunks * rowsPerTask, row1 = minl(row0 + rowsPerTask, d.o);
    for (long o = row0; o < row1; o++)
      partial[o * d.chunks + task % d.chunks] =
          rangeSum(from, to, [=](long i, long n) { return loadn(x + o * d.r + i, n); });
  });
}

INL void addRow(float* to, const float* x, long n, bool first) {
  for (long i = 0; i < n; i += W)
    storen(to + i, first ? loadn(x + i, n - i) : loadn(to + i, n - i) + loadn(x + i, n - i), n - i);
}

OP(sum) {
  const SumShape d(s);
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  if (d.i == 1) {
    double* partial = static_cast<double*>(s.scratch);
    sumRows(d, x, partial);
    for (long o = 0; o < d.o; o++) {
      double total = 0;
      for (long c = 0; c < d.chunks; c++) total += partial[o * d.chunks + c];
      y[o] = (float)total;
    }
    return;
  }
  float* partial = static_cast<float*>(s.scratch);  // [O, chunks, I]; with one chunk it is the output
  float* const to = d.chunks == 1 ? y : partial;
  parallel(d.o * d.chunks, [=](long task, int) {
    const long c = task % d.chunks, r0 = c * d.chunk, r1 = minl(r0 + d.chunk, d.r);
    const float* from = x + (task / d.chunks * d.r) * d.i;
    for (long r = r0; r < r1; r++) addRow(to + task * d.i, from + r * d.i, d.i, r == r0);
  });
  if (d.chunks == 1) return;
  parallelRange(d.o * d.i, 1024, [=](long a, long b) {
    for (long k = a; k < b; k++) {
      const float* p = partial + (k / d.i * d.chunks) * d.i + k % d.i;
      double total = 0;
      for (long c = 0; c < d.chunks; c++) total += (double)p[c * d.i];
      y[k] = (float)total;
    }
  });
}
CONTRACT(sum) {
  const Tensor &x = c.in("x", "f32[*]"), &y = c.out("y", "f32[*]");
  const long from = c.whole("from", 0, x.rank - 1), to = c.whole("to", from + 1, x.rank);
  const bool keep = c.flag("keepdims");
  bool fits = y.rank == (keep ? x.rank : x.rank - (to - from));
  for (int i = 0, k = 0; fits && i < x.rank; i++) {
    const bool summed = i >= from && i < to;
    if (!summed || keep) fits = y.dims[k++] == (summed ? 1 : x.dims[i]);
  }
  if (!fits) c.refuse("y as %s without the axes from %ld to %ld, received %s", c.typeOf(x), from, to, c.typeOf(y));
}
SCRATCH(sum) {
  const SumShape d(s);
  return (size_t)(d.o * d.chunks * d.i) * sizeof(double);
}

}  // namespace ISA
}  // namespace bayes
