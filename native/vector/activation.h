// The activations that a convolution, linear layer or batch norm applies itself (lib/graph/fuse.ts), by attributes: 1 a
// leaky ReLU of some slope, a ReLU having slope 0; 2 softplus. Their ops share these functions, so fused and apart the
// bits are the same; both derivatives are functions of the output, so the input of a fused activation is never stored.
#pragma once
#include "vmath.h"

namespace bayes {
namespace ISA {

enum Activation { IDENTITY, LEAKY, SOFTPLUS };

INL vf reluv(vf z) { return z < 0.f ? vf{} : z; }  // a NaN stays a NaN, here and below
INL vf leakyReluv(vf z, vf slope) { return select(z < 0.f, slope * z, z); }

// The derivative of softplus from its value y >= 0: sigmoid(z) = 1 - e^-y. With y = q - n ln 2 and |q| <= ln2 / 2, it
// is (1 - 2^n) + 2^n (1 - e^-q), so that small derivatives keep their digits; 1 - e^-q = q + q^2 p(q), p by minimax
// (7e-9).
INL vf softplusSlope(vf y) {
  const vf c = minv(set1(87.f), y);           // a NaN stays a NaN
  const vf magic = set1(12582912.f + 127.f);  // adding it rounds to an integer, whose low bits are an exponent's
  const vf t = fma(c, set1(-1.44269504f), magic);
  const vf q = fma(t - magic, set1(0.69314718f), c), z = q * q;  // ln 2 need not be exact: n < 0 comes with 2^n
  const vf low = fma(q, set1(1.666651586e-1f), set1(-4.999998254e-1f));
  const vf high = fma(z, set1(-1.370675929e-3f), fma(q, set1(8.369179617e-3f), set1(-4.167059929e-2f)));
  const vf power = asFloat(asInt(t) << 23);  // 2^n
  return fma(power, fma(fma(high, z, low), z, q), 1.f - power);
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

// The contract of those attributes, none being no activation; whether there is one.
static inline bool activationAttributes(Contract& c) {
  c.number("slope", 0, Contract::ANY, 0);
  return c.whole("activation", IDENTITY, SOFTPLUS, IDENTITY) != IDENTITY;
}

// The activation over rows that have just been written.
INL void activateRows(const Activate& activate, float* y, long rows, long k, long c0, long c1) {
  if (activate.kind == IDENTITY) return;
  if (c0 == 0 && c1 == k) return activate(y, rows * k);
  for (long i = 0; i < rows; i++) activate(y + i * k + c0, c1 - c0);
}

}  // namespace ISA
}  // namespace bayes
