// Logarithm, sine and cosine of the arguments that Box-Muller has, rounded as JavaScript engines round them:
// polynomials and order of evaluation are those of fdlibm. No library is asked, and the build contracts nothing: the
// same bits everywhere. Where fdlibm branches, both ways are computed, so that the compiler makes vectors of it: the
// file is compiled once per instruction set, as the ops are (unity/ops.cpp).
//
//   Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved. Developed at SunPro, a Sun Microsystems, Inc.
//   business. Permission to use, copy, modify, and distribute this software is freely granted, provided that this
//   notice is preserved.
#include "gaussians.h"
#include <cmath>
#include <cstring>
#include "../shared/philox.h"
#include "op.h"

namespace bayes {
namespace ISA {
namespace {

constexpr int PAIRS = 256;  // at a time
constexpr long TASK = 64;   // of these

inline uint64_t bitsOf(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline double ofBits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
constexpr uint64_t high(uint64_t word) { return word << 32; }
// An integer below 2^52 as a double.
inline double toDouble(uint64_t small) { return ofBits(small | 0x4330000000000000u) - 4503599627370496.0; }
// (u + 1/2) / 2^32
inline double uniform(uint32_t u) { return (toDouble(u) + 0.5) * (1.0 / 4294967296.0); }

// ln x, for normal x: x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)).
inline double naturalLog(double x) {
  const uint64_t bits = bitsOf(x), fraction = bits & 0xfffffffffffffu;
  const uint64_t up = (fraction + high(0x95f64)) & high(0x100000);  // beyond sqrt(2): to the next power of two
  const double k = toDouble((bits + up) >> 52) - 1023;
  const double f = ofBits(fraction | (up ^ high(0x3ff00000))) - 1.0;
  const double s = f / (2.0 + f), z = s * s, w = z * z;
  const double odd =
      z * (6.666666666666735130e-01 +
           w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)));
  const double even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01));
  const double r = even + odd, half = 0.5 * f * f, low = k * 1.90821492927058770002e-10;
  const uint64_t top = fraction >> 32;
  const bool tiny = ((top + 2) & 0xfffff) < 3;  // |f| < 2^-20
  const bool middle = top >= 0x6147a && top <= 0x6b851;
  const double rest = tiny     ? f * f * (0.5 - 0.33333333333333333 * f) - low
                      : middle ? half - (s * (half + r) + low)
                               : s * (f - r) - low;
  return k * 6.93147180369123816490e-01 - (rest - f);
}

// pi/2 in pieces of 33 bits, each with all that is left.
constexpr double PIECE = 1.57079632673412561417e+00, LEFT = 6.07710050650619224932e-11;
constexpr double SECOND = 6.07710050630396597660e-11, LEFT2 = 2.02226624879595063154e-21;

// x, in [-pi/4, pi/4] and with what rounding has cut off.
inline double sine(double x, double rest, bool exact) {
  constexpr double third = -1.66666666666666324348e-01;
  const double z = x * x, v = z * x;
  const double r =
      8.33333333332248946124e-03 +
      z * (-1.98412698298579493134e-04 +
           z * (2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)));
  return exact ? x + v * (third + z * r) : x - ((z * (0.5 * rest - v * r) - rest) - v * third);
}
inline double cosine(double x, double rest) {
  const double z = x * x;
  const double r = z * (4.16666666666666019037e-02 +
                        z * (-1.38888888888741095749e-03 +
                             z * (2.48015872894767294178e-05 +
                                  z * (-2.75573143513906633035e-07 +
                                       z * (2.08757232129817482790e-09 + z * -1.13596475577881948265e-11)))));
  const uint64_t size = bitsOf(x) & high(0x7fffffff);
  const double quarter = ofBits(size - high(0x00200000));  // of |x|, or nearly: what is taken from 1 first, exactly
  const double first = size < high(0x3fd33333) ? 0.0 : size > high(0x3fe90000) ? 0.28125 : quarter;
  return (1.0 - first) - ((0.5 * z - first) - (z * r - x * rest));
}

// The normals of a radius and of an angle: quarter turn n and the rest of it.
inline void normals(double radius, uint64_t n, double x, double rest, double& even, double& odd) {
  const double c = cosine(x, rest), s = sine(x, rest, n == 0);
  const uint64_t swap = 0 - (n & 1);
  const uint64_t a = (bitsOf(c) & ~swap) | (bitsOf(s) & swap), b = (bitsOf(s) & ~swap) | (bitsOf(c) & swap);
  even = radius * ofBits(a ^ (((n + 1) & 2) << 62)), odd = radius * ofBits(b ^ ((n & 2) << 62));
}

inline double radiusOf(uint32_t u) { return std::sqrt(-2.0 * naturalLog(uniform(u))); }
inline double angleOf(uint32_t v) { return 2 * 3.14159265358979323846 * uniform(v); }

// The number of the quarter turn next to an angle.
inline uint64_t quarterOf(double angle) {
  const double turns = angle * 6.36619772367581382433e-01 + 0.5;
  const uint64_t below = bitsOf(angle) >> 32 <= 0x3fe921fb;
  return below ? 0 : (turns >= 1) + (turns >= 2) + (turns >= 3) + (turns >= 4);
}

// Whether an angle is so close to its quarter turn that most digits cancel.
inline bool isClose(double angle, uint64_t n) {
  const uint64_t top = bitsOf(angle) >> 32;
  return n > 0 && top == (bitsOf(static_cast<double>(n) * (PIECE + LEFT)) >> 32);
}

// Two words -> two normals.
inline void pairOf(uint32_t u, uint32_t v, double& even, double& odd) {
  const double angle = angleOf(v);
  const uint64_t n = quarterOf(angle);
  const double turns = toDouble(n), r = angle - turns * PIECE, left = turns * LEFT, x = r - left;
  normals(radiusOf(u), n, x, (r - x) - left, even, odd);
}

// As above, where the angle is close to its quarter turn: one piece more.
void closePair(uint32_t u, uint32_t v, double& even, double& odd) {
  const double angle = angleOf(v);
  const uint64_t n = quarterOf(angle);
  const double turns = toDouble(n), r = angle - turns * PIECE, x = r - turns * LEFT;
  const double next = turns * SECOND, r2 = r - next;
  const double left = n == 1 ? LEFT2 : turns * LEFT2 - ((r - r2) - next);
  const bool more = n == 1 || (bitsOf(angle) >> 52) - (bitsOf(x) >> 52 & 0x7ff) > 16;
  const double from = more ? r2 : r, by = more ? left : turns * LEFT, y = from - by;
  const double rest = std::fabs(y) < 0x1p-27 ? 0 : (from - y) - by;
  normals(radiusOf(u), n, y, rest, even, odd);
}

template <class T>
void fillTask(T* out, int64_t from, int64_t to, const GaussianFill& f) {
  for (int64_t at = from; at < to; at += 2 * PAIRS) {
    uint32_t words[2 * PAIRS];
    double z[2 * PAIRS];
    for (int i = 0; i < 2 * PAIRS; i += 4) {
      uint32_t c[4] = {static_cast<uint32_t>((at + i) / 4), f.row, f.step, f.stream};
      philox4x32(c, f.key[0], f.key[1]);
      memcpy(words + i, c, sizeof c);
    }
    for (int i = 0; i < PAIRS; i++) pairOf(words[2 * i], words[2 * i + 1], z[2 * i], z[2 * i + 1]);
    for (int i = 0; i < PAIRS; i++) {
      const uint32_t v = words[2 * i + 1];
      // within 2^-19 of a quarter turn, one in 2^18 or so
      if (((v + 0x1000u) & 0x3fffffffu) > 0x2000u) continue;
      const double angle = angleOf(v);
      if (isClose(angle, quarterOf(angle))) closePair(words[2 * i], v, z[2 * i], z[2 * i + 1]);
    }
    const int count = static_cast<int>(to - at < 2 * PAIRS ? to - at : 2 * PAIRS);
    for (int i = 0; i < count; i++) out[at + i] = static_cast<T>(f.mean + f.scale * z[i]);
  }
}

template <class T>
void fillAll(T* out, int64_t count, const GaussianFill& fill) {
  parallelRange(static_cast<long>(count), TASK * 2 * PAIRS, [&](long from, long to) { fillTask(out, from, to, fill); });
}

const bool registered = (registerGaussians(ISA_LEVEL, fillAll<float>, fillAll<double>), true);

}  // namespace
}  // namespace ISA
}  // namespace bayes
