// Sum over the neighbouring axes [from, to): x seen as [O, R, I] -> [O, I], with one read of x. The order of the
// additions depends on the shape alone.
#include "../loops/channels.h"
#include "../loops/sum.h"
namespace bayes {
namespace ISA {

struct SumShape {
  long o = 1, r = 1, i = 1;
  INL explicit SumShape(const Step& s) {
    const Tensor& x = s.in[0];
    const int from = (int)s.attr("from"), to = (int)s.attr("to");
    for (int k = 0; k < x.rank; k++) (k < from ? o : k < to ? r : i) *= x.dims[k];
  }
};

// x [O, R] -> y [O]: a chunk of a row to a task, or many short rows
INL void rowSums(const SumShape& d, const float* x, float* y, double* partial) {
  const long chunks = ceilDiv(d.r, SUM_CHUNK), rowsPerTask = maxl(1, SUM_CHUNK / d.r);
  parallel(ceilDiv(d.o, rowsPerTask) * chunks, [=](long task, int) {
    const long from = task % chunks * SUM_CHUNK, to = minl(from + SUM_CHUNK, d.r);
    const long row0 = task / chunks * rowsPerTask, row1 = minl(row0 + rowsPerTask, d.o);
    for (long o = row0; o < row1; o++)
      partial[o * chunks + task % chunks] =
          rangeSum(from, to, [=](long i, long n) { return loadn(x + o * d.r + i, n); });
  });
  for (long o = 0; o < d.o; o++) {
    double total = 0;
    for (long c = 0; c < chunks; c++) total += partial[o * chunks + c];
    y[o] = (float)total;
  }
}

OP(sum) {
  const SumShape d(s);
  if (d.i == 1) rowSums(d, s.in[0].f32(), s.out[0].f32(), static_cast<double*>(s.scratch));
  else channelSums(s.in[0].f32(), s.out[0].f32(), d.o, d.r, d.i, 1, s.scratch);
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
  return d.i == 1 ? (size_t)(d.o * ceilDiv(d.r, SUM_CHUNK)) * sizeof(double) : channelScratch(d.o, d.r, d.i);
}

}  // namespace ISA
}  // namespace bayes
