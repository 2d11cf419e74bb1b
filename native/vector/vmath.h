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

// e^r = 1 + r + r^2 p(r) for |r| <= ln2 / 2, in the order of Estrin: short chains, so that more vectors are under way.
INL vf expPolynomial(vf r) {
  const vf z = r * r;
  const vf low = fma(set1(1.6666665459e-1f), r, set1(5.0000001201e-1f));
  const vf middle = fma(set1(8.3334519073e-3f), r, set1(4.1665795894e-2f));
  const vf high = fma(set1(1.9875691500e-4f), r, set1(1.3981999507e-3f));
  return fma(fma(fma(high, z, middle), z, low), z, r) + 1.f;
}
// c less n ln2, with ln2 in two parts
INL vf lessLn2(vf c, vf n) { return fma(n, set1(2.12194440e-4f), fma(n, set1(-0.693359375f), c)); }

// x = n ln2 + r with |r| <= ln2 / 2; e^r by a polynomial; 2^n as two factors, so that denormals and inf come out right.
INL vf expv(vf x) {
  vf c = maxv(minv(x, set1(89.f)), set1(-104.f));
  const vf magic = set1(12582912.f);  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  vf t = fma(c, set1(1.44269504f), magic);
  vf n = t - magic;
  vi ni = asInt(t) - asInt(magic), half = ni >> 1;
  vf y = expPolynomial(lessLn2(c, n)) * exponentOf2(half) * exponentOf2(ni - half);
  return select(x == x, y, x);
}

// e^x for x <= 0: n + 151 is a valid exponent, so 2^n needs no halves. A NaN stays one, since maxv returns its second.
INL vf expNegv(vf x) {
  const vf c = maxv(set1(-104.f), x), magic = set1(12582912.f + 151.f);
  const vf t = fma(c, set1(1.44269504f), magic);
  return expPolynomial(lessLn2(c, t - magic)) * (asFloat(asInt(t) << 23) * 5.9604645e-8f);  // 2^n = 2^(n + 24) 2^-24
}
INL vf minusAbs(vf x) { return asFloat(asInt(x) | (1 << 31)); }

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

// log(1 + e) = e + e^2 q(e) for e in [0, 1], where softplus needs it: q by its minimax polynomial, Estrin's order.
INL vf log1pTail(vf e) {
  const vf z = e * e, z2 = z * z;
  const vf a = fma(e, set1(3.333051205e-1f), set1(-4.999993145e-1f));
  const vf b = fma(e, set1(1.969539970e-1f), set1(-2.495858669e-1f));
  const vf c = fma(e, set1(1.068054959e-1f), set1(-1.535539329e-1f));
  const vf d = fma(e, set1(2.020455524e-2f), set1(-5.766438693e-2f));
  return fma(fma(z2, set1(-3.318465780e-3f), fma(d, z, c)), z2, fma(b, z, a));
}
INL vf log1p01v(vf e) { return fma(e * e, log1pTail(e), e); }

INL vf sigmoidv(vf x) {
  vf e = expNegv(minusAbs(x));
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

INL vf softplusv(vf x) { return maxv(vf{}, x) + log1p01v(expNegv(minusAbs(x))); }

// What the Gaussian KL needs of sigma = softplus(rho). With e = exp(-|rho|), sigma = e^min(rho, 0) * body, and body
// lies in [ln 2, inf): the logarithm and the ratio keep their digits where sigma itself is denormal or zero.
struct Sigma {
  vf sigma;  // softplus(rho)
  vf body;   // log sigma = min(rho, 0) + log body
  vf slope;  // d sigma / d rho = sigmoid(rho)
  vf ratio;  // slope / sigma: 1 as rho -> -inf
};
INL Sigma sigmaOf(vf rho) {
  const vf e = expNegv(minusAbs(rho)), tail = log1pTail(e), sigma = maxv(vf{}, rho) + fma(e * e, tail, e);
  const vf body = select(rho < 0.f, fma(e, tail, set1(1.f)), sigma);
  return {sigma, body, select(rho < 0.f, e, set1(1.f)) / (1.f + e), 1.f / ((1.f + e) * body)};
}

// The sum of logs of positive normal numbers is the log of their product: exponents are added, mantissas in [1, 2)
// multiplied, at most 126 of them. A NaN does not show.
struct LogSum {
  vf product = set1(1.f);
  vi exponents{};
  INL void add(vf x) {
    exponents += (asInt(x) >> 23) - 127;
    product *= asFloat((asInt(x) & 0x007fffff) | 0x3f800000);
  }
  INL double total() const {
    return 0.69314718055994531 * (double)sum(toFloat(exponents)) + (double)sum(logNormalv(product, vi{}));
  }
};

}  // namespace ISA
}  // namespace bayes
