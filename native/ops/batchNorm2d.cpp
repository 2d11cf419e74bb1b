// Batch normalization over all axes but the last (Ioffe and Szegedy 2015). Bound by bandwidth: statistics read x once
// (a chunk is centred on its own mean while it is in cache, and chunks are merged in double by Chan's formula, in
// order), normalizing reads it again and writes y, with the activation behind it where there is one; so does the
// gradient with dz = f'(y) dy, which its second half finds in dx. Few channels: a "span" of whole vectors holds several
// rows, and per-channel numbers are laid out along it, so that no lane is idle, and so many that sums do not wait for
// themselves.
#include "../vector/activation.h"
namespace bayes {
namespace ISA {

struct Layout {
  long c, rows, span, chunk, chunks;  // span: floats per step through memory; chunk: rows per task
  INL static Layout of(const Tensor& x) {
    const long c = x.dim(-1), rows = c ? x.size() / c : 0;
    long pack = 1;  // rows of a span: of fewer than 64 channels, the fewest that are whole vectors, 8 or more
    if (c < 64)
      while (pack * c % W || pack * c < 8 * W) pack++;
    const long chunk = maxl(1, 8192 / (pack * c)) * pack;
    return {c, rows, pack * c, chunk, ceilDiv(rows, chunk)};
  }
  INL size_t partials() const { return static_cast<size_t>(chunks) * 2 * c * sizeof(double); }
  INL size_t lanes() const { return static_cast<size_t>(ceilDiv(span, W)) * VBYTES; }  // one number per lane of a span
  INL size_t scratch() const { return partials() + lanes() * 3 * (poolThreads() + 2) + 64; }
  INL double* partial(const Step& s, long task) const { return static_cast<double*>(s.scratch) + task * 2 * c; }
  INL float* table(const Step& s, long k) const {  // tables 3t, 3t+1, 3t+2 belong to thread t; the last six to all
    char* p = static_cast<char*>(s.scratch) + (partials() + 63) / 64 * 64;
    return reinterpret_cast<float*>(p + k * lanes());
  }
  INL float* shared(const Step& s, long k) const { return table(s, 3 * poolThreads() + k); }
  // f(offset in x, offset in the span, lanes) over rows [from, to)
  template <class F>
  INL void each(long from, long to, F f) const {
    for (long i = from * c, end = to * c; i < end; i += span) {
      const long n = minl(span, end - i);
      for (long j = 0; j < n; j += W) f(i + j, j, n - j);
    }
  }
  INL void spread(float* table) const {  // table[0..c) along the whole span
    for (long i = c; i < span; i++) table[i] = table[i - c];
  }
  INL double fold(const float* table, long channel) const {
    double sum = 0;
    for (long i = channel; i < span; i += c) sum += table[i];
    return sum;
  }
};

// y = f((x - m) a + b)
INL void normalize(const Step& s, const Layout& g, float* m, float* a, float* b) {
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  const Activate activate(s);
  g.spread(m), g.spread(a), g.spread(b);
  parallel(g.chunks, [&](long task, int) {
    const long from = task * g.chunk, to = minl(g.rows, from + g.chunk);
    g.each(from, to, [&](long i, long j, long k) {
      storen(y + i, fma(loadn(x + i, k) - load(m + j), load(a + j), load(b + j)), k);
    });
    activate(y + from * g.c, (to - from) * g.c);
  });
}

OP(batchNorm2d) {  // x, gamma, beta -> y, mean [C], variance [C] (biased)
  const Layout g = Layout::of(s.in[0]);
  const float *x = s.in[0].f32(), *gamma = s.in[1].f32(), *beta = s.in[2].f32();
  parallel(g.chunks, [&](long task, int thread) {
    const long from = task * g.chunk, to = minl(g.rows, from + g.chunk);
    const double n = static_cast<double>(to - from);
    float *centre = g.table(s, 3 * thread), *sum = g.table(s, 3 * thread + 1), *square = g.table(s, 3 * thread + 2);
    memset(sum, 0, g.lanes());
    g.each(from, to, [&](long i, long j, long k) { store(sum + j, load(sum + j) + loadn(x + i, k)); });
    for (long c = 0; c < g.c; c++) centre[c] = static_cast<float>(g.fold(sum, c) / n);
    g.spread(centre);
    memset(sum, 0, g.lanes()), memset(square, 0, g.lanes());
    g.each(from, to, [&](long i, long j, long k) {  // lanes past k add what is never folded, or past the rows: 0
      const vf d = loadn(x + i, k) - loadn(centre + j, k);
      store(sum + j, load(sum + j) + d), store(square + j, fma(d, d, load(square + j)));
    });
    double* out = g.partial(s, task);
    for (long c = 0; c < g.c; c++) {
      const double shift = g.fold(sum, c);
      out[c] = centre[c] + shift / n, out[g.c + c] = g.fold(square, c) - shift * shift / n;
    }
  });
  float *m = g.shared(s, 0), *a = g.shared(s, 1), *b = g.shared(s, 2);
  for (long c = 0; c < g.c; c++) {
    double mean = 0, m2 = 0, n = 0;
    for (long t = 0; t < g.chunks; t++) {
      const double k = static_cast<double>(minl(g.chunk, g.rows - t * g.chunk));
      const double delta = g.partial(s, t)[c] - mean, share = k / (n + k);
      mean += delta * share, m2 += g.partial(s, t)[g.c + c] + delta * delta * n * share, n += k;
    }
    const double variance = m2 > 0 || m2 != m2 ? m2 / n : 0;
    m[c] = static_cast<float>(mean), b[c] = beta[c];
    a[c] = static_cast<float>(gamma[c] / sqrt(variance + s.attr("epsilon")));
    if (s.out[1]) s.out[1].f32()[c] = m[c];
    if (s.out[2]) s.out[2].f32()[c] = static_cast<float>(variance);
  }
  if (s.out[0]) normalize(s, g, m, a, b);
}
CONTRACT(batchNorm2d) {
  c.in("x", "f32[..., C]"), c.in("gamma", "f32[C]"), c.in("beta", "f32[C]");
  c.number("epsilon", 1e-30), activationAttributes(c);
  c.perhaps("y", "f32[..., C]"), c.perhaps("mean", "f32[C]"), c.perhaps("variance", "f32[C]");
}
SCRATCH(batchNorm2d) { return Layout::of(s.in[0]).scratch(); }

OP(batchNorm2dInference) {  // x, gamma, beta, mean, variance -> y
  const Layout g = Layout::of(s.in[0]);
  const float *gamma = s.in[1].f32(), *beta = s.in[2].f32(), *mean = s.in[3].f32(), *variance = s.in[4].f32();
  float *m = g.shared(s, 0), *a = g.shared(s, 1), *b = g.shared(s, 2);
  for (long c = 0; c < g.c; c++) {
    m[c] = mean[c], b[c] = beta[c];
    a[c] = static_cast<float>(gamma[c] / sqrt(variance[c] + s.attr("epsilon")));
  }
  normalize(s, g, m, a, b);
}
CONTRACT(batchNorm2dInference) {
  c.in("x", "f32[..., C]"), c.in("gamma", "f32[C]"), c.in("beta", "f32[C]");
  c.in("mean", "f32[C]"), c.in("variance", "f32[C]");
  c.number("epsilon", 1e-30), activationAttributes(c);
  c.inPlace(1), c.out("y", "f32[..., C]");
}
SCRATCH(batchNorm2dInference) { return Layout::of(s.in[0]).scratch(); }

// Sums of dz = f'(y) dy and dz xhat of the rows [from, to), per lane of a span; dz too, unless that is null.
template <int ACTIVATION>
static void gradSums(const Step& s, const Layout& g, float slope, long from, long to, const float* m, const float* inv,
                     float* sum, float* dot, float* dz) {
  const float *dy = s.in[0].f32(), *x = s.in[1].f32(), *y = ACTIVATION == IDENTITY ? dy : s.in[5].f32();
  memset(sum, 0, g.lanes()), memset(dot, 0, g.lanes());
  g.each(from, to, [=](long i, long j, long k) {
    const vf d = beforeActivation<ACTIVATION>(loadn(dy + i, k), loadn(y + i, k), set1(slope));
    const vf xhat = (loadn(x + i, k) - loadn(m + j, k)) * load(inv + j);
    store(sum + j, load(sum + j) + d), store(dot + j, fma(d, xhat, load(dot + j)));
    if (ACTIVATION != IDENTITY && dz) storen(dz + i, d, k);
  });
}

// With xhat = (x - mean) / sqrt(variance + epsilon): dbeta = sum dz, dgamma = sum dz xhat, and
// dx = gamma / sqrt(variance + epsilon) * (dz - dbeta / n - xhat dgamma / n), the last two terms only where mean and
// variance are the batch's own (frozen = 0).
OP(batchNorm2dGrad) {  // dy, x, gamma, mean, variance, [y] -> dx, dgamma [C], dbeta [C]
  const Layout g = Layout::of(s.in[0]);
  const float *x = s.in[1].f32(), *gamma = s.in[2].f32(), *mean = s.in[3].f32(), *variance = s.in[4].f32();
  const bool frozen = s.attr("frozen") != 0;
  const Activate f(s);
  float *m = g.shared(s, 0), *inv = g.shared(s, 1), *dx = s.out[0] ? s.out[0].f32() : nullptr;
  for (long c = 0; c < g.c; c++) {
    m[c] = mean[c];
    inv[c] = static_cast<float>(1 / sqrt(variance[c] + s.attr("epsilon")));
  }
  g.spread(m), g.spread(inv);
  float *a = g.shared(s, 2), *p = g.shared(s, 3), *q = g.shared(s, 4);
  memset(p, 0, g.lanes()), memset(q, 0, g.lanes());
  if (!frozen || s.out[1] || s.out[2] || f.kind != IDENTITY) {
    parallel(g.chunks, [&](long task, int thread) {
      float *sum = g.table(s, 3 * thread), *dot = g.table(s, 3 * thread + 1);
      const long from = task * g.chunk, to = minl(g.rows, from + g.chunk);
      if (f.kind == SOFTPLUS) gradSums<SOFTPLUS>(s, g, f.slope, from, to, m, inv, sum, dot, dx);
      else if (f.kind == LEAKY) gradSums<LEAKY>(s, g, f.slope, from, to, m, inv, sum, dot, dx);
      else gradSums<IDENTITY>(s, g, f.slope, from, to, m, inv, sum, dot, dx);
      double* out = g.partial(s, task);
      for (long c = 0; c < g.c; c++) out[c] = g.fold(sum, c), out[g.c + c] = g.fold(dot, c);
    });
    for (long c = 0; c < g.c; c++) {
      double sum = 0, dot = 0;
      for (long t = 0; t < g.chunks; t++) sum += g.partial(s, t)[c], dot += g.partial(s, t)[g.c + c];
      if (s.out[1]) s.out[1].f32()[c] = static_cast<float>(dot);
      if (s.out[2]) s.out[2].f32()[c] = static_cast<float>(sum);
      if (!frozen) p[c] = static_cast<float>(sum / g.rows), q[c] = static_cast<float>(dot / g.rows);
    }
  }
  if (!dx) return;
  const float* dz = f.kind == IDENTITY ? s.in[0].f32() : dx;
  for (long c = 0; c < g.c; c++) a[c] = gamma[c] * inv[c];
  g.spread(a), g.spread(p), g.spread(q);
  parallel(g.chunks, [&](long task, int) {
    g.each(task * g.chunk, minl(g.rows, (task + 1) * g.chunk), [&](long i, long j, long k) {
      const vf xhat = (loadn(x + i, k) - load(m + j)) * load(inv + j);
      storen(dx + i, load(a + j) * (loadn(dz + i, k) - load(p + j) - xhat * load(q + j)), k);
    });
  });
}
CONTRACT(batchNorm2dGrad) {
  c.in("dy", "f32[..., C]"), c.in("x", "f32[..., C]"), c.in("gamma", "f32[C]");
  c.in("mean", "f32[C]"), c.in("variance", "f32[C]");
  c.number("epsilon", 1e-30), c.flag("frozen");
  if (activationAttributes(c)) c.in("y", "f32[..., C]");
  c.inPlace(1);  // dz is written to dx and x read after that: dx may lie where dy does, but not where x does
  c.perhaps("dx", "f32[..., C]"), c.perhaps("dgamma", "f32[C]"), c.perhaps("dbeta", "f32[C]");
}
SCRATCH(batchNorm2dGrad) { return Layout::of(s.in[0]).scratch(); }

// running <- (1 - momentum) running + momentum * batch, with the variance made unbiased: n / (n - 1)
OP(batchNorm2dUpdate) {  // running mean, running variance (both written), mean, variance
  float *mean = s.in[0].f32(), *variance = s.in[1].f32();
  const double momentum = s.attr("momentum"), n = s.attr("count"), unbias = n > 1 ? n / (n - 1) : 1;
  for (long c = 0; c < s.in[0].size(); c++) {
    mean[c] = static_cast<float>((1 - momentum) * mean[c] + momentum * s.in[2].f32()[c]);
    variance[c] = static_cast<float>((1 - momentum) * variance[c] + momentum * unbias * s.in[3].f32()[c]);
  }
}
CONTRACT(batchNorm2dUpdate) {
  c.inout("running mean", "f32[C]"), c.inout("running variance", "f32[C]");
  c.in("mean", "f32[C]"), c.in("variance", "f32[C]");
  c.number("momentum", 0, 1), c.number("count", 1);
}

}  // namespace ISA
}  // namespace bayes
