// Walks over a matrix [rows, channels]: what a kernel keeps of a channel (sums, scales) stays in registers while it
// passes over a strip of rows. Few channels: a "span" of whole vectors holds several rows, and tables of one number per
// channel are laid out along it, so that no lane is idle, and so many that sums do not wait for themselves. Sums depend
// on shapes alone: lanes of float32 over a strip, strips in float64, then lanes, then chunks.
#pragma once
#include "../vector/simd.h"
namespace bayes {
namespace ISA {

// d[lane] += v[lane], in float64
INL void addTo(double* d, vf v) {
  float lane[W];
  store(lane, v);
  for (int i = 0; i < W; i++) d[i] += static_cast<double>(lane[i]);
}

struct Channels {
  long rows, c, span, strip, chunk, chunks;  // span in floats, a strip in spans; chunk: rows per task

  // `matrices` of them share the work.
  INL static Channels of(long rows, long c, long matrices = 1) {
    long pack = 1;  // rows of a span: where four vectors are more than a row, the fewest that are whole vectors
    if (c > 0 && c < 4 * W)
      while (pack * c % W || pack * c < 4 * W) pack++;
    const long most = minl(maxl(1, 64 / matrices), minl(rows * c / 8192, rows / 64));
    const long chunk = roundUp(maxl(1, ceilDiv(rows, maxl(1, most))), pack);
    return {rows, c, pack * c, minl(64, maxl(8, 16384 / maxl(1, pack * c))), chunk, ceilDiv(rows, chunk)};
  }
  INL long first(long task) const { return task * chunk; }
  INL long end(long task) const { return minl(rows, (task + 1) * chunk); }
  INL long lanes() const { return roundUp(span, W); }  // room of a table along a span

  // f.vectors<N>(offset in the matrix, offset in the span, spans, lanes that count) for the rows [from, to): N
  // neighbouring vectors, and those below them, `span` floats apart.
  template <class F>
  INL void down(long from, long to, const F& f) const {
    const long last = to * c, whole = last - (last - from * c) % span;
    for (long i = from * c; i < whole; i += strip * span) {
      const long spans = minl(strip, (whole - i) / span);
      long j = 0;
      for (; j + 4 * W <= span; j += 4 * W) f.template vectors<4>(i + j, j, spans, (long)W);
      for (; j < span; j += W) f.template vectors<1>(i + j, j, spans, span - j);
    }
    for (long j = 0; whole + j < last; j += W) f.template vectors<1>(whole + j, j, 1, last - whole - j);
  }
  INL void spread(float* table) const {  // table[0..c) along the whole span
    for (long i = c; i < span; i++) table[i] = table[i - c];
  }
  INL void fold(double* table) const {  // table[0..c) is the sum of all lanes of a channel
    for (long row = c; row < span; row += c)
      for (long k = 0; k < c; k++) table[k] += table[row + k];
  }
};

struct ChannelSums {
  const float* x;
  double* sum;  // along a span
  long span;
  template <int N>
  INL void vectors(long i, long j, long spans, long k) const {
    vf s[N]{};
    for (const float *p = x + i, *end = p + spans * span; p < end; p += span)
      for (int n = 0; n < N; n++) s[n] += loadn(p + n * W, k);
    for (int n = 0; n < N; n++) addTo(sum + j + n * W, s[n]);
  }
};

// x [matrices, rows, c] -> y [matrices, c]: `factor` times the sums of the rows. A table for each task, or each
// thread where matrices are not cut.
INL size_t channelScratch(long matrices, long rows, long c) {
  const Channels g = Channels::of(rows, c, matrices);
  return static_cast<size_t>((g.chunks > 1 ? matrices * g.chunks : poolThreads()) * g.lanes()) * sizeof(double);
}
INL void channelSums(const float* x, float* y, long matrices, long rows, long c, double factor, void* scratch) {
  const Channels g = Channels::of(rows, c, matrices);
  const auto table = [=](long k) { return static_cast<double*>(scratch) + k * g.lanes(); };
  const auto sums = [=](long m, long chunk, double* sum) {
    memset(sum, 0, static_cast<size_t>(g.lanes()) * sizeof(double));
    g.down(g.first(chunk), g.end(chunk), ChannelSums{x + m * rows * c, sum, g.span});
    g.fold(sum);
  };
  const auto write = [=](long m, const double* sum) {
    for (long k = 0; k < c; k++) y[m * c + k] = static_cast<float>(sum[k] * factor);
  };
  if (g.chunks == 1) {
    const long grain = maxl(1, 8192 / (rows * c));
    return parallel(ceilDiv(matrices, grain), [=](long task, int thread) {
      for (long m = task * grain; m < minl(matrices, (task + 1) * grain); m++)
        sums(m, 0, table(thread)), write(m, table(thread));
    });
  }
  parallel(matrices * g.chunks, [=](long task, int) { sums(task / g.chunks, task % g.chunks, table(task)); });
  parallelRange(matrices, maxl(1, 8192 / (g.chunks * c)), [=](long first, long end) {
    for (long m = first; m < end; m++) {
      double* sum = table(m * g.chunks);
      for (long t = 1; t < g.chunks; t++)
        for (long k = 0; k < c; k++) sum[k] += table(m * g.chunks + t)[k];
      write(m, sum);
    }
  });
}

}  // namespace ISA
}  // namespace bayes
