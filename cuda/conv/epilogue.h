// What follows the sums of a product: bias, noise, the residue r, activation. An epilogue is called with a row (a
// pixel, or a weight's place in a filter) and four neighbouring channels, of which [from, to) exist: the four of a
// noise counter, and 16 bytes of a store.
#pragma once
#include "cuda/math.h"
#include "geometry.h"
#include "cuda/noise.h"

namespace bayes {
namespace cuda {

// y[0 .. 4) = v, those that exist
__device__ __forceinline__ void storeQuad(float* y, long at, bool whole, int from, int to, const float (&v)[4]) {
  if (whole) return store4(y + at, v);
#pragma unroll
  for (int e = 0; e < 4; e++)
    if (e >= from && e < to) y[at + e] = v[e];
}

// y = f(mean + bias)
struct BiasEpilogue {
  float* y;           // [row][channels]
  const float* bias;  // [channels], or null
  int channels;
  Activate activate;
  __device__ __forceinline__ void operator()(int row, int quad, int from, int to, const float (&m)[4],
                                             const float (&)[4]) const {
    float out[4] = {};
#pragma unroll
    for (int e = 0; e < 4; e++)
      if (e >= from && e < to) out[e] = activate(bias ? m[e] + bias[4 * quad + e] : m[e]);
    storeQuad(y, static_cast<long>(row) * channels + 4 * quad, channels % 4 == 0 && to - from == 4, from, to, out);
  }
};

// dx = A + 2 x B: the data gradient of a Bayesian layer
struct SquareEpilogue {
  float* dx;       // [row][channels]
  const float* x;  // the same
  int channels;
  __device__ __forceinline__ void operator()(int row, int quad, int from, int to, const float (&A)[4],
                                             const float (&B)[4]) const {
    const long at = static_cast<long>(row) * channels + 4 * quad;
    const bool whole = channels % 4 == 0 && to - from == 4;
    float v[4] = {}, out[4];
    if (whole) load4(v, x + at);
    else
#pragma unroll
      for (int e = 0; e < 4; e++)
        if (e >= from && e < to) v[e] = x[at + e];
#pragma unroll
    for (int e = 0; e < 4; e++) out[e] = A[e] + (v[e] + v[e]) * B[e];
    storeQuad(dx, at, whole, from, to, out);
  }
};

// Both weight gradients, and behind their rows one more, the bias gradients.
struct WeightEpilogue {
  float *dw1, *dw2;  // [rows][channels], or null
  float *db1, *db2;  // [channels], or null
  int rows, channels;
  __device__ __forceinline__ void operator()(int row, int quad, int from, int to, const float (&first)[4],
                                             const float (&second)[4]) const {
    const bool weights = row < rows, whole = channels % 4 == 0 && to - from == 4;
    const long at = (weights ? static_cast<long>(row) * channels : 0) + 4 * quad;
    float *const one = weights ? dw1 : db1, *const two = weights ? dw2 : db2;
    if (one) storeQuad(one, at, whole, from, to, first);
    if (two) storeQuad(two, at, whole, from, to, second);
  }
};

// The local reparameterization: v = variance + bSigma2, y = f(mean + bMu + sqrt(v) eps), r = dz/dv = eps / (2 sqrt v)
// of the sum z before f, for every Monte-Carlo copy of the batch. Where v <= 1e-16, z is the mean and r is 0; a NaN
// stays a NaN. No noise is kept: the counter of a quad gives its four normals.
struct LrtEpilogue {
  float *y, *r;                // [copy][row][channels], null when nobody reads it
  const float *bMu, *bSigma2;  // [channels], or null
  const int32_t *rng, *rows;   // seed low, seed high, step, first sample; [batch]
  uint32_t stream;
  int channels, images, copies;  // images of the batch, samples drawn from one set of moments
  Divisor area, batch;           // pixels of an image; launch row q is sample q / batch of example q mod batch
  Activate activate;
  __device__ __forceinline__ void operator()(int row, int quad, int from, int to, const float (&m)[4],
                                             const float (&v)[4]) const {
    const int image = area.of(row), pixel = row - image * static_cast<int>(area.d), quads = (channels + 3) / 4;
    const bool whole = channels % 4 == 0 && to - from == 4;
    float mean[4] = {}, sd[4] = {};
    bool dead[4] = {};
#pragma unroll
    for (int e = 0; e < 4; e++) {
      if (e < from || e >= to) continue;
      const int k = 4 * quad + e;
      const float variance = bSigma2 ? v[e] + bSigma2[k] : v[e];
      mean[e] = bMu ? m[e] + bMu[k] : m[e], dead[e] = variance <= 1e-16f, sd[e] = ScalarMath::sqrt(variance);
    }
    for (int copy = 0; copy < copies; copy++) {
      const int launchRow = copy * images + image, sample = batch.of(launchRow);
      const int example = rows[launchRow - sample * static_cast<int>(batch.d)];
      float z[4], outY[4], outR[4];
      normals(z, static_cast<uint32_t>(pixel * quads + quad), static_cast<uint32_t>(example),
              static_cast<uint32_t>(rng[2]), stream * 65536u + static_cast<uint32_t>(rng[3] + sample),
              static_cast<uint32_t>(rng[0]), static_cast<uint32_t>(rng[1]));
#pragma unroll
      for (int e = 0; e < 4; e++) {
        outY[e] = activate(dead[e] ? mean[e] : mean[e] + sd[e] * z[e]);
        outR[e] = dead[e] ? 0.f : z[e] * 0.5f / sd[e];
      }
      const long at = (static_cast<long>(launchRow) * area.d + pixel) * channels + 4 * quad;
      if (y) storeQuad(y, at, whole, from, to, outY);
      if (r) storeQuad(r, at, whole, from, to, outR);
    }
  }
};

// ---- A depth in several parts
// Their sums [part][route][rows][pitch], written by the product and added here in an order that is always the same, by
// LANES neighbouring threads a quad: each adds every LANES-th part.
struct Partial {
  float* sums = nullptr;  // null: the depth is in one part
  int parts = 1, rows = 0, pitch = 0;
  __device__ __forceinline__ float* at(int part, int route, int routes, int row) const {
    return sums + (static_cast<long>(part * routes + route) * rows + row) * pitch;
  }
};
constexpr int ADD_THREADS = 128;
template <int ROUTES, int LANES, class E>
__global__ void __launch_bounds__(ADD_THREADS) addParts(Partial p, int channels, E epilogue) {
  const int quads = (channels + 3) / 4, lane = threadIdx.x % LANES;
  const long i = (static_cast<long>(blockIdx.x) * ADD_THREADS + threadIdx.x) / LANES;
  const long row = i / quads;
  const int quad = static_cast<int>(i - row * quads), to = channels - 4 * quad < 4 ? channels - 4 * quad : 4;
  const bool exists = row < p.rows;
  float sums[2][4] = {};
  for (int part = lane; exists && part < p.parts; part += LANES)
#pragma unroll
    for (int route = 0; route < ROUTES; route++) {
      float v[4] = {};
      const float* const from = p.at(part, route, ROUTES, static_cast<int>(row)) + 4 * quad;
      if (to == 4) load4(v, from);
      else
        for (int e = 0; e < to; e++) v[e] = from[e];
#pragma unroll
      for (int e = 0; e < 4; e++) sums[route][e] += v[e];
    }
#pragma unroll
  for (int mask = 1; mask < LANES; mask *= 2)
#pragma unroll
    for (int route = 0; route < ROUTES; route++)
#pragma unroll
      for (int e = 0; e < 4; e++) sums[route][e] += exchange(sums[route][e], mask);
  if (exists && lane == 0) epilogue(static_cast<int>(row), quad, 0, to, sums[0], sums[1]);
}

}  // namespace cuda
}  // namespace bayes
