// Batch normalization over all axes but the last (Ioffe and Szegedy 2015). Bound by bandwidth: statistics read x once,
// normalizing reads it again and writes y, with the activation behind it where there is one. So does the gradient, of
// dz = f'(y) dy. Tasks are chunks of rows (loops/channels.h), whose sums are merged in float64, in order.
#include "../loops/channels.h"
#include "../vector/activation.h"
namespace bayes {
namespace ISA {

// What the tasks leave behind, and numbers of each channel along a span.
struct NormRoom {
  Channels g;
  void* scratch;
  INL explicit NormRoom(const Step& s)
      : g(Channels::of(s.in[0].size() / s.in[0].dim(-1), s.in[0].dim(-1))), scratch(s.scratch) {}
  INL double* partial(long task, long k) const {  // two of a task
    return static_cast<double*>(scratch) + (2 * task + k) * g.lanes();
  }
  INL float* table(long k) const { return reinterpret_cast<float*>(partial(g.chunks, 0)) + k * g.lanes(); }
  static size_t bytes(const Step& s, long tables) {
    const NormRoom r(s);
    return reinterpret_cast<char*>(r.table(tables)) - static_cast<char*>(r.scratch);
  }
  // f(from, to) for runs of channels, when all chunks are done
  template <class F>
  INL void merge(F f) const {
    parallelRange(g.c, maxl(64, 8192 / g.chunks), f);
  }
};

// Calls f with the activation's number as a constant, a ReLU being RELU.
constexpr int RELU = SOFTPLUS + 1;
template <int A>
struct Kind {
  static constexpr int value = A;
};
template <class F>
INL void withActivation(const Activate& a, F f) {
  if (a.kind == SOFTPLUS) f(Kind<SOFTPLUS>());
  else if (a.kind == LEAKY && a.slope == 0) f(Kind<RELU>());
  else if (a.kind == LEAKY) f(Kind<LEAKY>());
  else f(Kind<IDENTITY>());
}

// y = f((x - m) a + b)
template <int A>
struct Normalize {
  const float *x, *m, *a, *b;
  float* y;
  long span;
  vf slope;
  template <int N>
  INL void vectors(long i, long j, long spans, long k) const {
    vf mean[N], scale[N], shift[N];
    for (int n = 0; n < N; n++)
      mean[n] = load(m + j + n * W), scale[n] = load(a + j + n * W), shift[n] = load(b + j + n * W);
    for (const long end = i + spans * span; i < end; i += span)
      for (int n = 0; n < N; n++) {
        const vf z = fma(loadn(x + i + n * W, k) - mean[n], scale[n], shift[n]);
        storen(y + i + n * W,
               A == SOFTPLUS ? softplusv(z)
               : A == RELU   ? reluv(z)
               : A == LEAKY  ? leakyReluv(z, slope)
                             : z,
               k);
      }
  }
};
INL void normalize(const Step& s, const NormRoom& r) {  // by the first three tables
  const Channels g = r.g;
  float *const m = r.table(0), *const a = r.table(1), *const b = r.table(2);
  g.spread(m), g.spread(a), g.spread(b);
  const Activate activate(s);
  withActivation(activate, [&](auto kind) {
    const Normalize<decltype(kind)::value> f{s.in[0].f32(), m, a, b, s.out[0].f32(), g.span, set1(activate.slope)};
    parallel(g.chunks, [&](long task, int) { g.down(g.first(task), g.end(task), f); });
  });
}

// Sums of d = x - centre and of d^2
struct Moments {
  const float *x, *centre;
  double *sum, *square;
  long span;
  template <int N>
  INL void vectors(long i, long j, long spans, long k) const {
    vf c[N], first[N]{}, second[N]{};
    for (int n = 0; n < N; n++) c[n] = loadn(centre + j + n * W, k);  // lanes past the rows add 0
    for (const float *p = x + i, *end = p + spans * span; p < end; p += span)
      for (int n = 0; n < N; n++) {
        const vf d = loadn(p + n * W, k) - c[n];
        first[n] += d, second[n] = fma(d, d, second[n]);
      }
    for (int n = 0; n < N; n++) addTo(sum + j + n * W, first[n]), addTo(square + j + n * W, second[n]);
  }
};

// Mean and sum of squared distances of a chunk, centred on the mean of its first strip. Since that is part of the
// chunk, what cancels is at most so many times the result as there are strips.
INL void chunkMoments(const NormRoom& r, const float* x, float* centre, long task) {
  const Channels g = r.g;
  const long from = g.first(task), to = g.end(task), some = minl(to - from, g.strip * g.span / g.c);
  double *sum = r.partial(task, 0), *square = r.partial(task, 1);
  const size_t bytes = static_cast<size_t>(g.lanes()) * sizeof(double);
  memset(sum, 0, bytes);
  g.down(from, from + some, ChannelSums{x, sum, g.span});
  g.fold(sum);
  for (long k = 0; k < g.c; k++) centre[k] = static_cast<float>(sum[k] / static_cast<double>(some));
  g.spread(centre);
  memset(sum, 0, bytes), memset(square, 0, bytes);
  g.down(from, to, Moments{x, centre, sum, square, g.span});
  g.fold(sum), g.fold(square);
  const double share = 1 / static_cast<double>(to - from);
  for (long k = 0; k < g.c; k++) {
    const double shift = sum[k];
    sum[k] = centre[k] + shift * share, square[k] -= shift * shift * share;
  }
}

OP(batchNorm2d) {  // x, gamma, beta -> y, mean [C], variance [C] (biased)
  const NormRoom r(s);
  const float *x = s.in[0].f32(), *gamma = s.in[1].f32(), *beta = s.in[2].f32();
  parallel(r.g.chunks, [&](long task, int thread) { chunkMoments(r, x, r.table(3 + thread), task); });
  float *const m = r.table(0), *const a = r.table(1), *const b = r.table(2);
  float *const meanOut = s.out[1] ? s.out[1].f32() : nullptr, *const varianceOut = s.out[2] ? s.out[2].f32() : nullptr;
  const double epsilon = s.attr("epsilon");
  r.merge([=](long from, long to) {  // by Chan's formula, into the first chunk's places
    double *mean = r.partial(0, 0), *m2 = r.partial(0, 1), n = static_cast<double>(r.g.end(0));
    for (long t = 1; t < r.g.chunks; t++) {
      const double *chunkMean = r.partial(t, 0), *chunkM2 = r.partial(t, 1);
      const double k = static_cast<double>(r.g.end(t) - r.g.first(t)), share = k / (n + k), weight = n * share;
      for (long c = from; c < to; c++) {
        const double delta = chunkMean[c] - mean[c];
        mean[c] += delta * share, m2[c] += chunkM2[c] + delta * delta * weight;
      }
      n += k;
    }
    for (long c = from; c < to; c++) {
      const double variance = m2[c] > 0 || m2[c] != m2[c] ? m2[c] / n : 0;
      m[c] = static_cast<float>(mean[c]), b[c] = beta[c];
      a[c] = static_cast<float>(gamma[c] / sqrt(variance + epsilon));
      if (meanOut) meanOut[c] = m[c];
      if (varianceOut) varianceOut[c] = static_cast<float>(variance);
    }
  });
  if (s.out[0]) normalize(s, r);
}
CONTRACT(batchNorm2d) {
  c.in("x", "f32[..., C]"), c.in("gamma", "f32[C]"), c.in("beta", "f32[C]");
  c.number("epsilon", 1e-30), activationAttributes(c);
  c.perhaps("y", "f32[..., C]"), c.perhaps("mean", "f32[C]"), c.perhaps("variance", "f32[C]");
}
SCRATCH(batchNorm2d) { return NormRoom::bytes(s, 3 + poolThreads()); }

OP(batchNorm2dInference) {  // x, gamma, beta, mean, variance -> y
  const NormRoom r(s);
  const float *gamma = s.in[1].f32(), *beta = s.in[2].f32(), *mean = s.in[3].f32(), *variance = s.in[4].f32();
  float *m = r.table(0), *a = r.table(1), *b = r.table(2);
  const double epsilon = s.attr("epsilon");
  for (long c = 0; c < r.g.c; c++) {
    m[c] = mean[c], b[c] = beta[c];
    a[c] = static_cast<float>(gamma[c] / sqrt(variance[c] + epsilon));
  }
  normalize(s, r);
}
CONTRACT(batchNorm2dInference) {
  c.in("x", "f32[..., C]"), c.in("gamma", "f32[C]"), c.in("beta", "f32[C]");
  c.in("mean", "f32[C]"), c.in("variance", "f32[C]");
  c.number("epsilon", 1e-30), activationAttributes(c);
  c.inPlace(1), c.out("y", "f32[..., C]");
}
SCRATCH(batchNorm2dInference) { return NormRoom::bytes(s, 3); }

// Of dz = f'(y) dy: its sums and those of dz (x - m)
template <int A>
struct GradSums {
  const float *dy, *x, *y, *m;
  double *sum, *dot;
  long span;
  vf slope;
  template <int N>
  INL void vectors(long i, long j, long spans, long k) const {
    vf mean[N], first[N]{}, second[N]{};
    for (int n = 0; n < N; n++) mean[n] = load(m + j + n * W);
    for (const long end = i + spans * span; i < end; i += span)
      for (int n = 0; n < N; n++) {
        const vf d = beforeActivation<A>(loadn(dy + i + n * W, k), loadn(y + i + n * W, k), slope);
        first[n] += d, second[n] = fma(d, loadn(x + i + n * W, k) - mean[n], second[n]);
      }
    for (int n = 0; n < N; n++) addTo(sum + j + n * W, first[n]), addTo(dot + j + n * W, second[n]);
  }
};

// dx = a dz + b (x - m) + p
template <int A>
struct GradInput {
  const float *dy, *x, *y, *m, *a, *b, *p;
  float* dx;
  long span;
  vf slope;
  template <int N>
  INL void vectors(long i, long j, long spans, long k) const {
    vf mean[N], scale[N], tilt[N], shift[N];
    for (int n = 0; n < N; n++) mean[n] = load(m + j + n * W), scale[n] = load(a + j + n * W);
    for (int n = 0; n < N; n++) tilt[n] = load(b + j + n * W), shift[n] = load(p + j + n * W);
    for (const long end = i + spans * span; i < end; i += span)
      for (int n = 0; n < N; n++) {
        const vf d = beforeActivation<A>(loadn(dy + i + n * W, k), loadn(y + i + n * W, k), slope);
        storen(dx + i + n * W, fma(scale[n], d, fma(tilt[n], loadn(x + i + n * W, k) - mean[n], shift[n])), k);
      }
  }
};

// With xhat = (x - mean) / sqrt(variance + epsilon): dbeta = sum dz, dgamma = sum dz xhat, and
// dx = gamma / sqrt(variance + epsilon) * (dz - dbeta / n - xhat dgamma / n), the last two terms only where mean and
// variance are the batch's own (frozen = 0).
OP(batchNorm2dGrad) {  // dy, x, gamma, mean, variance, [y] -> dx, dgamma [C], dbeta [C]
  const NormRoom r(s);
  const Channels g = r.g;
  const float *dy = s.in[0].f32(), *x = s.in[1].f32(), *y = s.nin > 5 ? s.in[5].f32() : dy;
  const float *gamma = s.in[2].f32(), *mean = s.in[3].f32(), *variance = s.in[4].f32();
  const bool frozen = s.attr("frozen") != 0, sums = !frozen || s.out[1] || s.out[2];
  const double epsilon = s.attr("epsilon");
  const Activate activate(s);
  const vf slope = set1(activate.slope);
  float *const m = r.table(0), *const a = r.table(1), *const b = r.table(2), *const p = r.table(3);
  memcpy(m, mean, static_cast<size_t>(g.c) * sizeof(float));
  g.spread(m);
  float *const dx = s.out[0] ? s.out[0].f32() : nullptr, *const dgamma = s.out[1] ? s.out[1].f32() : nullptr;
  float* const dbeta = s.out[2] ? s.out[2].f32() : nullptr;
  withActivation(activate, [&](auto kind) {
    constexpr int A = decltype(kind)::value == RELU ? (int)LEAKY : decltype(kind)::value;
    if (sums)
      parallel(g.chunks, [&](long task, int) {
        double *sum = r.partial(task, 0), *dot = r.partial(task, 1);
        memset(sum, 0, static_cast<size_t>(2 * g.lanes()) * sizeof(double));
        g.down(g.first(task), g.end(task), GradSums<A>{dy, x, y, m, sum, dot, g.span, slope});
        g.fold(sum), g.fold(dot);
      });
    r.merge([=](long from, long to) {
      double *sum = r.partial(0, 0), *dot = r.partial(0, 1);
      for (long t = 1; sums && t < g.chunks; t++)
        for (long c = from; c < to; c++) sum[c] += r.partial(t, 0)[c], dot[c] += r.partial(t, 1)[c];
      const double share = frozen ? 0 : 1 / static_cast<double>(g.rows);
      for (long c = from; c < to; c++) {
        const double inverse = 1 / sqrt(variance[c] + epsilon), scale = gamma[c] * inverse;
        if (dgamma) dgamma[c] = static_cast<float>(dot[c] * inverse);
        if (dbeta) dbeta[c] = static_cast<float>(sum[c]);
        a[c] = static_cast<float>(scale), b[c] = p[c] = 0;
        if (frozen) continue;
        b[c] = static_cast<float>(-scale * share * inverse * inverse * dot[c]);
        p[c] = static_cast<float>(-scale * share * sum[c]);
      }
    });
    if (!dx) return;
    g.spread(a), g.spread(b), g.spread(p);
    const GradInput<A> f{dy, x, y, m, a, b, p, dx, g.span, slope};
    parallel(g.chunks, [&](long task, int) { g.down(g.first(task), g.end(task), f); });
  });
}
CONTRACT(batchNorm2dGrad) {
  c.in("dy", "f32[..., C]"), c.in("x", "f32[..., C]"), c.in("gamma", "f32[C]");
  c.in("mean", "f32[C]"), c.in("variance", "f32[C]");
  c.number("epsilon", 1e-30), c.flag("frozen");
  if (activationAttributes(c)) c.in("y", "f32[..., C]");
  c.inPlace(1);  // dx may lie where dy does
  c.perhaps("dx", "f32[..., C]"), c.perhaps("dgamma", "f32[C]"), c.perhaps("dbeta", "f32[C]");
}
SCRATCH(batchNorm2dGrad) { return NormRoom::bytes(s, 4); }

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
