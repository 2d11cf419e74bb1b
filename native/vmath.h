// exp, log, log1p, tanh, sigmoid and softplus on vectors: within 3 ulp over the whole range, denormals included; right
// at 0 and at +-inf; a NaN stays a NaN. The same polynomials at every vector width.
#pragma once
#include "simd.h"

namespace bayes {
namespace ISA {

INL vi lanes() {
  vi v{};
  for (int i = 0; i < W; i++) v[i] = i;
  return v;
}
// The first n lanes of v, and zero: what a tail may add to a sum.
INL vf firstn(vf v, long n) { return n >= W ? v : select(lanes() < set1i((int)n), v, vf{}); }
INL vf absv(vf x) { return asFloat(asInt(x) & set1i(0x7fffffff)); }
INL vf copySign(vf size, vf sign) {
  return asFloat((asInt(size) & set1i(0x7fffffff)) | (asInt(sign) & set1i(~0x7fffffff)));
}
INL vf exponentOf2(vi n) { return asFloat((n + 127) << 23); }  // 2^n for n in [-126, 127]

// e^r - 1 for |r| <= ln2 / 2
INL vf expm1Near0(vf r) {
  vf p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  return fma(p, r * r, r);
}

// x = n ln2 + r with |r| <= ln2 / 2; e^r by a polynomial; 2^n as two factors, so that denormals and inf come out right.
INL vf expv(vf x) {
  vf c = maxv(minv(x, set1(89.f)), set1(-104.f));
  const vf magic = set1(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  vf t = fma(c, set1(1.44269504f), magic);
  vf n = t - magic;
  vi ni = asInt(t) - asInt(magic);
  vf r = fma(n, set1(-0.693359375f), c);
  r = fma(n, set1(2.12194440e-4f), r);
  vf p = expm1Near0(r) + 1.f;
  vi half = ni >> 1;
  vf y = p * exponentOf2(half) * exponentOf2(ni - half);
  return select(x == x, y, x);
}

// log of a positive normal number x = 2^e m with m in [sqrt(1/2), sqrt(2)), less `scaled` ln 2: a polynomial in m - 1.
INL vf logNormalv(vf x, vi scaled) {
  vi bits = (vi)((vu)asInt(x) - 0x3f3504f3u);  // less the bits of sqrt(1/2); unsigned, since a negative x wraps
  vf m = asFloat((bits & 0x007fffff) + 0x3f3504f3) - 1.f;
  vf n = toFloat((bits >> 23) - scaled);
  vf z = m * m;
  vf p = set1(7.0376836292e-2f);
  p = fma(p, m, set1(-1.1514610310e-1f));
  p = fma(p, m, set1(1.1676998740e-1f));
  p = fma(p, m, set1(-1.2420140846e-1f));
  p = fma(p, m, set1(1.4249322787e-1f));
  p = fma(p, m, set1(-1.6668057665e-1f));
  p = fma(p, m, set1(2.0000714765e-1f));
  p = fma(p, m, set1(-2.4999993993e-1f));
  p = fma(p, m, set1(3.3333331174e-1f));
  vf y = fma(n, set1(-2.12194440e-4f), p * m * z);
  y = fma(z, set1(-0.5f), y);
  return fma(n, set1(0.693359375f), m + y);
}
INL vf logv(vf x) {
  vi tiny = x < 1.17549435e-38f;  // a denormal is scaled up first (so are zero and the negatives, replaced below)
  vf y = logNormalv(select(tiny, x * 8388608.f, x), tiny & 23);
  const float inf = __builtin_inff();
  y = select(x == 0.f, set1(-inf), y);
  y = select(x == inf, x, y);
  return select(x >= 0.f, y, set1(__builtin_nanf("")));
}

// log(1 + x) for x >= 0: log of the rounded sum, and what the rounding left out.
INL vf log1pv(vf x) {
  vf u = 1.f + x;
  vf y = logv(u) + (x - (u - 1.f)) / u;
  return select(x == __builtin_inff(), x, y);
}

// log(1 + e) for e in [0, 1], where softplus needs it: 2 atanh(t / 2) with t = e / (1 + e / 2), six terms of the
// series.
INL vf log1p01v(vf e) {
  vf t = e / (1.f + 0.5f * e), z = 0.25f * t * t;
  vf p = fma(z, set1(1.f / 13), set1(1.f / 11));
  p = fma(p, z, set1(1.f / 9));
  p = fma(p, z, set1(1.f / 7));
  p = fma(p, z, set1(1.f / 5));
  p = fma(p, z, set1(1.f / 3));
  return fma(p * z, t, t);
}

INL vf sigmoidv(vf x) {
  vf e = expv(-absv(x));
  return select(x < 0.f, e, set1(1.f)) / (1.f + e);
}

INL vf tanhv(vf x) {
  vf a = absv(x), z = x * x;
  vf p = set1(-5.70498872745e-3f);
  p = fma(p, z, set1(2.06390887954e-2f));
  p = fma(p, z, set1(-5.37397155531e-2f));
  p = fma(p, z, set1(1.33314422036e-1f));
  p = fma(p, z, set1(-3.33332819422e-1f));
  vf small = fma(p * z, x, x);
  vf large = copySign(1.f - 2.f / (expv(a + a) + 1.f), x);
  return select(a < 0.625f, small, large);
}

INL vf softplusv(vf x) { return maxv(vf{}, x) + log1p01v(expv(-absv(x))); }

// The derivative of softplus as a function of its value y >= 0: sigmoid(x) = 1 - e^-y, by the steps of expv, but with
// the 1 of its polynomial taken from 2^n, so that small derivatives keep their digits.
INL vf softplusSlopev(vf y) {
  vf c = minv(set1(87.f), y);  // a NaN stays a NaN
  const vf magic = set1(12582912.f);
  vf t = fma(c, set1(-1.44269504f), magic);
  vf n = t - magic;
  vf r = fma(n, set1(-0.693359375f), -c);
  r = fma(n, set1(2.12194440e-4f), r);
  vf scale = exponentOf2(asInt(t) - asInt(magic));
  return fma(-scale, expm1Near0(r), 1.f - scale);
}

// What the Gaussian KL needs of sigma = softplus(rho). Below rho = -10, sigma = e (1 - e/2 + e^2/3) with e = exp(rho),
// so log sigma = rho + log(1 - e/2 + ...) and the ratio keeps its digits where sigma itself is denormal or zero.
struct Sigma {
  vf sigma;  // softplus(rho)
  vf log;    // log sigma
  vf slope;  // d sigma / d rho = sigmoid(rho)
  vf ratio;  // slope / sigma: 1 as rho -> -inf
};
INL Sigma sigmaOf(vf rho) {
  vf e = expv(-absv(rho)), one = set1(1.f);
  Sigma s;
  s.sigma = maxv(vf{}, rho) + log1p01v(e);
  s.slope = select(rho < 0.f, e, one) / (1.f + e);
  vi low = rho < -10.f;
  vf q = 1.f + e * (e * (1.f / 3.f) - 0.5f);
  s.log =
      select(low, rho - e * (0.5f - e * (5.f / 24.f)), logNormalv(s.sigma, vi{}) + (s.sigma - s.sigma));  // a NaN stays
  s.ratio = select(low, one, s.slope) / select(low, (1.f + e) * q, s.sigma);
  return s;
}

}  // namespace ISA
}  // namespace bayes
