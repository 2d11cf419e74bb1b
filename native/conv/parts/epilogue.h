// What follows the sums of a product: bias, noise, the residue r, activation, and the max pooling behind it. Called by
// the products of all forms for blocks of pixels, and then with rows of an image that are done:
// by each task, if tasks own whole windows, else behind them all.
#pragma once
#include "geometry.h"
#include "pooling.h"
#include "../../vector/noise.h"

namespace bayes {
namespace ISA {

// An epilogue is called as epilogue(p0, count, c0, c1, first, second, ld, spare): channels [c0, c1) of pixels p0 .. p0
// + count in two buffers [count][ld] starting at channel 0 (one per route). It works on rowsAtOnce(k) pixels at a time,
// so that they stay in the L1 cache, and finds room for three tensors of that size in `spare`. epilogue.rowsDone(image,
// o0, o1, c0, c1) follows, of whole pooling windows.
INL long rowsAtOnce(long k) { return maxl(1, 2048 / k); }
INL long spareTensor(long k) { return rowsAtOnce(k) * roundUp(k, 4) + 4 * W; }
INL long epilogueSpare(long k) { return 3 * spareTensor(k); }

// y = f(mean + bias)
struct BiasEpilogue {
  static constexpr bool LANEWISE = false;
  // A product may write its sums to y itself, with the bias added; `activated` is then what is left.
  static constexpr bool IN_PLACE = true;
  float* y;           // [image][pixel][k]; pooled: the map, in scratch memory
  const float* bias;  // [k], or null
  long k;
  Activate activate;
  WindowPool pool;
  INL void rowsDone(long image, long o0, long o1, long c0, long c1) const {
    if (pool.use()) pool.run(y + image * pool.h * pool.w * k, nullptr, image, o0, o1, c0, c1);
  }
  INL void activated(long p0, long count, long c0, long c1) const {
    activateRows(activate, y + p0 * k, count, k, c0, c1);
  }
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
  static constexpr bool LANEWISE = false, IN_PLACE = false;
  float* dx;       // [image][pixel][k]
  const float* x;  // the same
  long k;
  PoolWindows pool;  // none
  INL void rowsDone(long, long, long, long, long) const {}
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
  float *y, *r;                // [copy][image][pixel][k], null when nobody reads it; pooled: the map, in scratch memory
  const float *bMu, *bSigma2;  // [k], or null
  NoiseSource noise;
  long k, area, images, copies;  // pixels of an image, images of the batch, samples drawn from one set of moments
  Activate activate;
  WindowPool pool;
  INL void rowsDone(long image, long o0, long o1, long c0, long c1) const {
    for (long s = image; s < copies * images && pool.use(); s += images)
      pool.run(y + s * area * k, r ? r + s * area * k : nullptr, s, o0, o1, c0, c1);
  }
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
  // Lane by lane (../imageLanes): draws for the images image .. image + m of copy s.
  static constexpr bool LANEWISE = true, IN_PLACE = false;
  INL NoiseLanes draws(long s, long image, long m) const {
    NoiseRow rows[2 * W];
    noise.some(s * images + image, m, 2 * W, rows);
    return NoiseLanes(rows);
  }
  // Finished moments in place, for several copies: `count` pixels [pixel][k][LANES].
  void finishLanes(long count, float* mean, float* second) const {
    for (long p = 0; p < count; p++)
      for (long c = 0; c < k; c++)
        for (long h = 0; h < 2; h++, mean += W, second += W) {
          const vf v = load(second) + set1(bSigma2 ? bSigma2[c] : 0);
          store(mean, load(mean) + set1(bMu ? bMu[c] : 0));
          store(second, select(v <= 1e-16f, vf{}, sqrtv(v)));
        }
  }
  // Pixels [pixel, pixel + count), all channels: moments, y before the activation, and r [pixel][k][LANES].
  template <bool FINISHED>
  void lanes(const NoiseLanes& draws, long pixel, long count, const float* mean, const float* second, float* toY,
             float* toR) const {
    const long quads = ceilDiv(k, 4);
    for (long p = 0, o = 0; p < count; p++, o += k * LANES)
      for (long q = 0; q < quads; q++)
        draws.draw(static_cast<uint32_t>((pixel + p) * quads + q), k - 4 * q > 2, [&](int i, const EvenOdd& pair) {
          const long c = 4 * q + i;
          laneVectors<FINISHED>(c, o + c * LANES, pair.even.v, mean, second, toY, toR);
          if (c + 1 < k) laneVectors<FINISHED>(c + 1, o + (c + 1) * LANES, pair.odd.v, mean, second, toY, toR);
        });
  }
  template <bool FINISHED>
  INL void laneVectors(long c, long o, const vf* eps, const float* mean, const float* second, float* toY,
                       float* toR) const {
    const vf mu = set1(!FINISHED && bMu ? bMu[c] : 0), sigma2 = set1(!FINISHED && bSigma2 ? bSigma2[c] : 0);
    for (long h = 0; h < 2; h++) {
      vf m = load(mean + o + h * W), v = load(second + o + h * W);
      if (!FINISHED) m = m + mu, v = v + sigma2;
      const vi dead = FINISHED ? v == 0.f : v <= 1e-16f;
      const vf sd = FINISHED ? v : sqrtv(v);
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

}  // namespace ISA
}  // namespace bayes
