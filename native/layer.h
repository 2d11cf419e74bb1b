// What the ops of the convolution family put around the three products of conv.h: epilogues (bias, noise, the residue
// r), bias gradients, and sums over Monte-Carlo samples. Each op is a function (step, scratch) -> bytes of scratch that
// only counts when scratch is null; LAYER registers it as kernel and as scratch query.
#pragma once
#include "conv.h"
#include "noise.h"

namespace bayes {
namespace ISA {

#define LAYER(NAME, FUNCTION)          \
  OP(NAME) { FUNCTION(s, s.scratch); } \
  SCRATCH(NAME) { return FUNCTION(s, nullptr); }

INL float* orNull(const Tensor& t) { return t ? t.f32() : nullptr; }

// f(row, offset, channel, left, room) for every vector of the channels [c0, c1) of `rows` rows of k floats, in order:
// `left` are in the row, and `room` floats may be written, for what comes after them is written later by the same task.
template <class F>
INL void eachChannelVector(long rows, long k, long c0, long c1, F f) {
  const long whole = c0 + (c1 - c0) / W * W, end = c0 == 0 && c1 == k ? rows * k : 0;
  for (long i = 0, o = 0; i < rows; i++, o += k) {
    for (long c = c0; c < whole; c += W) f(i, o + c, c, (long)W, (long)W);
    if (whole < c1) f(i, o + whole, whole, c1 - whole, o + whole + W <= end ? (long)W : c1 - whole);
  }
}
// The activation over rows that have just been written.
INL void activateRows(const Activate& activate, float* y, long rows, long k, long c0, long c1) {
  if (activate.kind == IDENTITY) return;
  if (c0 == 0 && c1 == k) return activate(y, rows * k);
  for (long i = 0; i < rows; i++) activate(y + i * k + c0, c1 - c0);
}
// y = f(mean + bias)
struct BiasEpilogue {
  static constexpr bool LANEWISE = false;
  float* y;
  const float* bias;  // or null
  long k;
  Activate activate;
  INL void operator()(long p0, long count, long c0, long c1, const float* mean, const float*, long ld, float*) const {
    for (long p = 0, n; p < count; p += n) {
      n = minl(count - p, rowsAtOnce(k));
      float* to = y + (p0 + p) * k;
      eachChannelVector(n, k, c0, c1, [&](long i, long o, long c, long left, long room) {
        const vf m = load(mean + (p + i) * ld + c);
        storen(to + o, bias ? m + loadn(bias + c, left) : m, room);
      });
      activateRows(activate, to, n, k, c0, c1);
    }
  }
};

// dx = A + 2 x B: the data gradient of a Bayesian layer
struct SquareEpilogue {
  static constexpr bool LANEWISE = false;
  float* dx;
  const float* x;
  long k;
  INL void operator()(long p0, long count, long c0, long c1, const float* A, const float* B, long ld, float*) const {
    if (ld == k) return row(p0 * k, count * k, A, B);  // rows side by side are one
    for (long p = 0; p < count; p++) row((p0 + p) * k + c0, c1 - c0, A + p * ld + c0, B + p * ld + c0);
  }
  INL void row(long o, long n, const float* A, const float* B) const {
    for (long i = 0; i < n; i += W) {
      const vf v = loadn(x + o + i, n - i);
      storen(dx + o + i, load(A + i) + (v + v) * load(B + i), n - i);
    }
  }
};

// The local reparameterization: v = variance + bSigma2, y = f(mean + bMu + sqrt(v) eps), r = dz/dv = eps / (2 sqrt v)
// of the sum z before f, for every Monte-Carlo copy of the batch. Where v <= 1e-16, z is the mean and r is 0; a NaN
// stays a NaN.
struct LrtEpilogue {
  float *y, *r;                // null when nobody reads it
  const float *bMu, *bSigma2;  // or null
  NoiseSource noise;
  long k, area, images, copies;  // pixels of an image, images of the batch, samples drawn from one set of moments
  Activate activate;
  INL void operator()(long p0, long count, long c0, long c1, const float* mean, const float* variance, long ld,
                      float* eps) const {
    const long quads = ceilDiv(k, 4), first = c0 / 4, width = ceilDiv(c1, 4) - first, lde = 4 * width;
    float *shared = eps + spareTensor(k), *sharedRoot = shared + spareTensor(k);
    for (long p = 0, n; p < count; p += n) {
      const long image = (p0 + p) / area, pixel = (p0 + p) % area;
      n = minl(minl(count - p, area - pixel), rowsAtOnce(k));
      if (copies > 1) moments(n, c0, c1, mean + p * ld, variance + p * ld, ld, shared, sharedRoot, lde);
      for (long s = 0; s < copies; s++) {
        const NoiseRow at = noise.at(s * images + image);
        if (width == quads) fillNormals(eps, static_cast<uint32_t>(pixel * quads), n * quads, at);
        else
          for (long i = 0; i < n; i++)
            fillNormals(eps + i * lde, static_cast<uint32_t>((pixel + i) * quads + first), width, at);
        const long o = ((s * images + image) * area + pixel) * k;
        float *toY = y ? y + o : nullptr, *toR = r ? r + o : nullptr;
        if (copies > 1) rows<true>(n, c0, c1, shared - c0, sharedRoot - c0, lde, eps - c0, lde, toY, toR);
        else rows<false>(n, c0, c1, mean + p * ld, variance + p * ld, ld, eps - c0, lde, toY, toR);
        if (y) activateRows(activate, toY, n, k, c0, c1);
      }
    }
  }
  INL static vf sampleOf(vf m, vf sd, vi dead, vf eps) { return m + select(dead, vf{}, sd * eps); }
  INL static vf residueOf(vf sd, vi dead, vf eps) { return select(dead, vf{}, (eps * 0.5f) / sd); }
  // Finished moments of n rows of the channels [c0, c1) -> [n][lde]: mean + bMu, and sqrt(variance + bSigma2) or 0
  INL void moments(long n, long c0, long c1, const float* mean, const float* variance, long ld, float* toMean,
                   float* toRoot, long lde) const {
    for (long i = 0; i < n; i++)
      for (long c = c0; c < c1; c += W) {  // what is too much in a row, the next one writes over
        vf m = load(mean + i * ld + c), v = load(variance + i * ld + c);
        addBiases(m, v, c, c1 - c);
        store(toMean + i * lde + c - c0, m);
        store(toRoot + i * lde + c - c0, select(v <= 1e-16f, vf{}, sqrtv(v)));
      }
  }
  // Lane by lane (lanes.h): pixels [pixel, pixel + count) of images image, image + 1, ... of copy s, all channels;
  // moments and results [pixel][k][LANES].
  static constexpr bool LANEWISE = true;
  void lanes(long s, long image, long m, long pixel, long count, const float* mean, const float* variance, float* toY,
             float* toR) const {
    const NoiseLanes draws([&](long i) { return noise.at(s * images + image + minl(m - 1, i)); });
    const long quads = ceilDiv(k, 4);
    for (long p = 0, o = 0; p < count; p++, o += k * LANES)
      for (long q = 0; q < quads; q++)
        draws.draw(static_cast<uint32_t>((pixel + p) * quads + q), k - 4 * q > 2, [&](int i, const LanePair& pair) {
          const long c = 4 * q + i;
          laneVectors(c, o + c * LANES, pair.even.v, mean, variance, toY, toR);
          if (c + 1 < k) laneVectors(c + 1, o + (c + 1) * LANES, pair.odd.v, mean, variance, toY, toR);
        });
    activate(toY, count * k * LANES);
  }
  INL void laneVectors(long c, long o, const vf* eps, const float* mean, const float* variance, float* toY,
                       float* toR) const {
    const vf mu = set1(bMu ? bMu[c] : 0), sigma2 = set1(bSigma2 ? bSigma2[c] : 0);
    for (long h = 0; h < 2; h++) {
      const vf m = load(mean + o + h * W) + mu, v = load(variance + o + h * W) + sigma2;
      const vi dead = v <= 1e-16f;
      const vf sd = sqrtv(v);
      store(toY + o + h * W, sampleOf(m, sd, dead, eps[h]));
      if (r) store(toR + o + h * W, residueOf(sd, dead, eps[h]));
    }
  }
  INL void addBiases(vf& m, vf& v, long c, long left) const {
    if (bMu) m = m + loadn(bMu + c, left);
    if (bSigma2) v = v + loadn(bSigma2 + c, left);
  }
  template <bool FINISHED>
  INL void rows(long n, long c0, long c1, const float* mean, const float* second, long ld, const float* eps, long lde,
                float* toY, float* toR) const {
    eachChannelVector(n, k, c0, c1, [&](long i, long o, long c, long left, long room) {
      vf m = load(mean + i * ld + c), v = load(second + i * ld + c);
      const vf e = load(eps + i * lde + c);
      if (!FINISHED) addBiases(m, v, c, left);
      // Of the variance, not of the root: waiting for that would cost what hides root and division.
      const vi dead = FINISHED ? v == 0.f : v <= 1e-16f;
      const vf sd = FINISHED ? v : sqrtv(v);
      if (toY) storen(toY + o, sampleOf(m, sd, dead, e), room);
      if (toR) storen(toR + o, residueOf(sd, dead, e), room);
    });
  }
};

// Sums over the rows of a map [rows][k] of both routes: the bias gradients of a transposed convolution. (Others come
// with the weight gradients, conv.h.)
struct ColumnSums {
  long rows, k, chunks;
  Form form;
  float* part;
  static constexpr long CHUNK = 512;
  ColumnSums(long n, long columns, Form as, Bump& b)
      : rows(n), k(columns), chunks(ceilDiv(n, CHUNK)), form(as), part(b.floats(2 * chunks * padded(columns))) {}
  template <int K, int V>
  INL void columns(const Pair& p, long c, long from, long to, long t) const {
    vf a[V]{}, b[V]{};
    for (long i = from; i < to; i++)
      for (int v = 0; v < V; v++) {
        vf g, h;
        elements<K>(p, i * k + c + v * W, V > 1 ? W : k - c, g, h);
        a[v] = a[v] + inForm<K>(g), b[v] = b[v] + inForm<K>(h);
      }
    for (int v = 0; v < V; v++) {
      store(part + t * padded(k) + c + v * W, a[v]);
      store(part + (chunks + t) * padded(k) + c + v * W, b[v]);
    }
  }
  void run(const Pair& p, float* first, float* second) const {
    if (!first && !second) return;
    const long kp = padded(k);
    parallel(chunks, [&](long t, int) {
      const long from = t * CHUNK, to = minl(from + CHUNK, rows);
      withKind(p, form, [&](auto K) {
        long c = 0;  // four vectors side by side read whole cache lines, and do not wait for each other
        for (; c + 4 * W <= k; c += 4 * W) columns<K.value, 4>(p, c, from, to, t);
        for (; c < k; c += W) columns<K.value, 1>(p, c, from, to, t);
      });
    });
    for (long c = 0; c < k; c++) {
      double a = 0, b = 0;
      for (long t = 0; t < chunks; t++) a += part[t * kp + c], b += part[(chunks + t) * kp + c];
      if (first) first[c] = static_cast<float>(a);
      if (second) second[c] = static_cast<float>(b);
    }
  }
};

// What a gradient reads of the map: dy and r, and y where an activation follows the layer.
INL Pair mapOf(const Step& s, int y, const float* dy, const float* r) {
  const Activate f(s);
  return {dy, r, r ? PRODUCT : ONE, f.kind, f.slope, f.kind == IDENTITY ? nullptr : s.in[y].f32()};
}

// With several samples drawn from one set of moments, g = dz and h = dz * r are summed over them first.
struct SampleSums {
  long size, copies;
  float *g, *h;
  SampleSums(long elements, long n, Bump& b)
      : size(elements), copies(n), g(n > 1 ? b.floats(elements) : nullptr), h(n > 1 ? b.floats(elements) : nullptr) {}
  Pair run(const Pair& map) const {
    if (copies == 1) return map;
    parallelRange(size, 4096, [&](long from, long to) {
      withKind(map, [&](auto K) {
        for (long i = from; i < to; i += W) {
          vf a{}, b{};
          for (long s = 0; s < copies; s++) {
            vf v, vr;
            elements<K.value>(map, s * size + i, to - i, v, vr);
            a = a + v, b = b + vr;
          }
          storen(g + i, a, to - i), storen(h + i, b, to - i);
        }
      });
    });
    return {g, h, BOTH};
  }
};

// ---- conv2d and linear: x, w, [b] -> y
static inline size_t plainForward(const Step& s, void* scratch) {
  const Geometry g(s, s.in[0], s.in[1], s.out[0]);
  Bump bump(scratch);
  const Forward f(g, 1, bump);
  if (scratch)
    f.run({s.in[0].f32(), nullptr, ONE}, s.in[1].f32(), nullptr,
          BiasEpilogue{s.out[0].f32(), s.attr("bias") ? s.in[2].f32() : nullptr, g.k, Activate(s)});
  return bump.used;
}

// dy, x, w, [y] -> dx, dw, [db]
static inline size_t plainBackward(const Step& s, void* scratch) {
  const Tensor &dy = s.in[0], &x = s.in[1], &w = s.in[2];
  const Geometry g(s, x, w, dy);
  const Pair map = mapOf(s, 3, dy.f32(), nullptr);
  size_t most = 0;  // the three use the same memory in turn
  if (s.out[0]) {
    Bump bump(scratch);
    const Data data(g, 1, bump);
    if (scratch) data.run(map, w.f32(), nullptr, BiasEpilogue{s.out[0].f32(), nullptr, g.c});
    most = bump.used;
  }
  float* db = s.nout > 2 ? orNull(s.out[2]) : nullptr;
  if (s.out[1] || db) {
    Bump bump(scratch);
    const Weights weights(g, 1, bump);
    if (scratch) weights.run({x.f32(), nullptr, ONE}, map, orNull(s.out[1]), nullptr, db, nullptr);
    if (bump.used > most) most = bump.used;
  }
  return most;
}

// ---- bayesConv2d and bayesLinear: x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r
INL LrtEpilogue lrtEpilogue(const Step& s, long k, long area, long images) {
  const int bias = static_cast<int>(s.attr("bias"));
  return {orNull(s.out[0]),
          orNull(s.out[1]),
          bias > 0 ? s.in[3].f32() : nullptr,
          bias > 1 ? s.in[4].f32() : nullptr,
          NoiseSource(s, 3 + bias),
          k,
          area,
          images,
          s.out[0].dims[0] / images,
          Activate(s)};
}
static inline size_t bayesForward(const Step& s, void* scratch) {
  const Geometry g(s, s.in[0], s.in[1], s.out[0]);
  Bump bump(scratch);
  const Forward f(g, 2, bump);
  if (scratch)
    f.run({s.in[0].f32(), s.in[0].f32(), SQUARE}, s.in[1].f32(), s.in[2].f32(), lrtEpilogue(s, g.k, g.ho * g.wo, g.n));
  return bump.used;
}

// dy, r, x, mu, sigma2, [y] -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
static inline size_t bayesBackward(const Step& s, void* scratch) {
  const Tensor &dy = s.in[0], &x = s.in[2], &mu = s.in[3], &sigma2 = s.in[4];
  const Geometry g(s, x, mu, dy);
  Bump shared(scratch);
  const SampleSums samples(g.pixels * g.k, dy.dims[0] / g.n, shared);
  Pair map = mapOf(s, 5, dy.f32(), s.in[1].f32());
  if (scratch) map = samples.run(map);
  size_t most = shared.used;
  if (s.out[0]) {
    Bump bump = shared;
    const Data data(g, 2, bump);
    if (scratch) data.run(map, mu.f32(), sigma2.f32(), SquareEpilogue{s.out[0].f32(), x.f32(), g.c});
    most = bump.used;
  }
  float *db1 = s.nout > 3 ? orNull(s.out[3]) : nullptr, *db2 = s.nout > 4 ? orNull(s.out[4]) : nullptr;
  if (s.out[1] || s.out[2] || db1 || db2) {
    Bump bump = shared;
    const Weights weights(g, 2, bump);
    if (scratch) weights.run({x.f32(), x.f32(), SQUARE}, map, orNull(s.out[1]), orNull(s.out[2]), db1, db2);
    if (bump.used > most) most = bump.used;
  }
  return most;
}

}  // namespace ISA
}  // namespace bayes
