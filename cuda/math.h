// Functions of one float on the device, as native/vector/vmath.h has them of vectors: a NaN stays a NaN.
#pragma once
#include <math.h>
#include "op.h"

namespace bayes {
namespace cuda {

// log(1 + e) = e + e^2 tail(e) for e in [0, 1], the CPU's polynomial: what is left keeps its digits where e is tiny.
__device__ __forceinline__ float log1pTail(float e) {
  const float z = e * e, z2 = z * z;
  const float a = fmaf(e, 3.333051205e-1f, -4.999993145e-1f), b = fmaf(e, 1.969539970e-1f, -2.495858669e-1f);
  const float c = fmaf(e, 1.068054959e-1f, -1.535539329e-1f), d = fmaf(e, 2.020455524e-2f, -5.766438693e-2f);
  return fmaf(fmaf(z2, -3.318465780e-3f, fmaf(d, z, c)), z2, fmaf(b, z, a));
}
__device__ __forceinline__ float log1p01(float e) { return fmaf(e * e, log1pTail(e), e); }

__device__ __forceinline__ float sigmoid(float x) {
  const float e = expf(-fabsf(x));
  return (x < 0 ? e : 1.f) / (1.f + e);
}
__device__ __forceinline__ float softplus(float x) { return (x > 0 ? x : 0.f) + log1p01(expf(-fabsf(x))); }

// What the Gaussian KL needs of sigma = softplus(rho): see native/vector/vmath.h.
struct Sigma {
  float sigma;  // softplus(rho)
  float body;   // log sigma = min(rho, 0) + log body
  float slope;  // d sigma / d rho
  float ratio;  // slope / sigma
};
__device__ __forceinline__ Sigma sigmaOf(float rho) {
  const float e = expf(-fabsf(rho)), tail = log1pTail(e), sigma = (rho > 0 ? rho : 0.f) + fmaf(e * e, tail, e);
  const float body = rho < 0 ? fmaf(e, tail, 1.f) : sigma;
  return {sigma, body, (rho < 0 ? e : 1.f) / (1.f + e), 1.f / ((1.f + e) * body)};
}

// The activations that an op applies itself, by attributes: 1 a leaky ReLU of some slope, 2 softplus.
enum Activation { IDENTITY, LEAKY, SOFTPLUS };
struct Activate {
  int kind = IDENTITY;
  float slope = 0;
  Activate() = default;
  explicit Activate(const Step& s)
      : kind(static_cast<int>(s.attr("activation"))), slope(static_cast<float>(s.attr("slope"))) {}
  __device__ __forceinline__ float operator()(float z) const {
    if (kind == LEAKY) return z < 0 ? (slope == 0 ? 0.f : slope * z) : z;
    return kind == SOFTPLUS ? softplus(z) : z;
  }
  // dL/dz from dL/dy and y; of softplus it is 1 - e^-y
  __device__ __forceinline__ float before(float dy, float y) const {
    if (kind == LEAKY) return y > 0 ? dy : slope * dy;
    return kind == SOFTPLUS ? dy * -expm1f(-y) : dy;
  }
};

}  // namespace cuda
}  // namespace bayes
