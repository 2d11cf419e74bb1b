// The activations that a convolution or linear layer applies itself (lib/graph/fuse.ts), by attributes: 1 a leaky ReLU
// of some slope, a ReLU having slope 0; 2 softplus. Their ops share these functions, so fused and apart the bits are
// the same; both derivatives are functions of the output, so the input of a fused activation is never stored.
#pragma once
#include "vmath.h"

namespace bayes {
namespace ISA {

enum Activation { IDENTITY, LEAKY, SOFTPLUS };

INL vf reluv(vf z) { return z < 0.f ? vf{} : z; }  // a NaN stays a NaN, here and below
INL vf leakyReluv(vf z, vf slope) { return select(z < 0.f, slope * z, z); }

// e^r - 1 for |r| <= ln2 / 2
INL vf expm1Small(vf r) {
  const vf z = r * r;
  const vf low = fma(set1(1.6666665459e-1f), r, set1(5.0000001201e-1f));
  const vf middle = fma(set1(8.3334519073e-3f), r, set1(4.1665795894e-2f));
  const vf high = fma(set1(1.9875691500e-4f), r, set1(1.3981999507e-3f));
  return fma(fma(fma(high, z, middle), z, low), z, r);
}
// The derivative of softplus from its value y >= 0: sigmoid(z) = 1 - e^-y, by the steps of expv, but with 1 - 2^n taken
// first, so that small derivatives keep their digits.
INL vf softplusSlope(vf y) {
  const vf c = -minv(set1(87.f), y), magic = set1(12582912.f);
  const vf t = fma(c, set1(1.44269504f), magic), n = t - magic;
  const vf r = fma(n, set1(2.12194440e-4f), fma(n, set1(-0.693359375f), c));
  const vf power = exponentOf2(asInt(t) - asInt(magic));
  return fma(-power, expm1Small(r), 1.f - power);
}

// dL/dz from dL/dy and y
template <int ACTIVATION>
INL vf beforeActivation(vf dy, vf y, vf slope) {
  if (ACTIVATION == LEAKY) return select(y > 0.f, dy, slope * dy);
  if (ACTIVATION == SOFTPLUS) return dy * softplusSlope(y);
  return dy;
}

// y = f(y) over n floats
template <class F>
INL void inPlace(float* y, long n, F f) {
  long i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    const vf a = f(load(y + i)), b = f(load(y + i + W));
    store(y + i, a), store(y + i + W, b);
  }
  for (; i < n; i += W) storen(y + i, f(loadn(y + i, n - i)), n - i);
}

// What a step's attributes ask of its output.
struct Activate {
  Activation kind = IDENTITY;
  float slope = 0;
  INL Activate() {}
  INL explicit Activate(const Step& s)
      : kind(static_cast<Activation>(static_cast<int>(s.attr("activation")))),
        slope(static_cast<float>(s.attr("slope"))) {}
  INL void operator()(float* y, long n) const {
    const vf by = set1(slope);
    if (kind == SOFTPLUS) inPlace(y, n, [](vf z) { return softplusv(z); });
    else if (kind == LEAKY && slope == 0) inPlace(y, n, [](vf z) { return reluv(z); });
    else if (kind == LEAKY) inPlace(y, n, [=](vf z) { return leakyReluv(z, by); });
  }
};

}  // namespace ISA
}  // namespace bayes
