// Counter-based noise, the same bits everywhere: Philox4x32-10 (Salmon et al., SC 2011) and the Box-Muller transform as
// templates over scalar or vector types, compiled by g++, clang and nvcc alike. For identical bits nothing here is left
// to the compiler or a library: no fused multiply-add (the build turns contraction off), IEEE square root, exact range
// reduction on the integer bits, our own minimax polynomials (Lawson iterations; relative error below 1e-8).
#pragma once
#include <stdint.h>

#if defined(__CUDACC__)
#define BAYES_FN __host__ __device__ __forceinline__
#else
#define BAYES_FN inline __attribute__((always_inline))
#endif
#ifndef ISA
#define ISA base
#endif

namespace bayes {
namespace ISA {

constexpr uint32_t PHILOX_M0 = 0xD2511F53u, PHILOX_M1 = 0xCD9E8D57u;  // round multipliers
constexpr uint32_t PHILOX_W0 = 0x9E3779B9u, PHILOX_W1 = 0xBB67AE85u;  // key increments

// One counter, c[0..3] in place: four uniform words.
BAYES_FN void philox4x32(uint32_t c[4], uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; round++, k0 += PHILOX_W0, k1 += PHILOX_W1) {
    const uint64_t a = static_cast<uint64_t>(PHILOX_M0) * c[0], b = static_cast<uint64_t>(PHILOX_M1) * c[2];
    c[0] = static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, c[1] = static_cast<uint32_t>(b);
    c[2] = static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, c[3] = static_cast<uint32_t>(a);
  }
}

// Two words -> two independent standard normals: with U = (u + 1/2) / 2^32 and V = v / 2^32,
// even = sqrt(-2 ln U) cos(2 pi V), odd = sqrt(-2 ln U) sin(2 pi V). M names the types (I: int32 lanes, U: uint32, F:
// float) and has toFloat (IEEE conversion), bits, real (reinterpretation), sqrt and pick(i, a, b) = i < 0 ? a : b.
template <class M>
BAYES_FN void normalPair(typename M::I u, typename M::I v, typename M::F& even, typename M::F& odd) {
  typedef typename M::I I;
  typedef typename M::U U;
  typedef typename M::F F;
  // -2 ln U. With p = min(U, 1 - U) 2^32, small radii keep their relative precision too. Powers of two cost nothing:
  // they are in the constants and in the exponents.
  const I upper = u >> 31;  // negative where U >= 1/2
  const F p = M::toFloat(u ^ upper) + 0.5f;
  const I q = M::bits(M::pick(upper, 4294967296.0f - p, p));  // U 2^32 = m 2^(e + 32) with m in [sqrt 1/2, sqrt 2)
  const I above = q - 0x4f3504f3, e = above >> 23;
  const F m = M::real((above & 0x007fffff) + 0x3f3504f3);
  const F minusP = M::real((I)((U)M::bits(p) + 0x70000000u));  // -p 2^-32
  const F t = M::pick(upper & ~e, minusP, m - 1.0f);  // U in [sqrt 1/2, 1): m - 1 would have lost the digits that p has
  const F t2 = t * t, t4 = t2 * t2;  // pairs, then pairs of pairs: a shorter chain than Horner's, and no more work
  const F l0 = -0.6666666269302368f + t * 0.5000163912773132f, l1 = -0.40002453327178955f + t * 0.33246713876724243f;
  const F l2 = -0.28403514623641968f + t * 0.26320368051528931f, l3 = -0.255231648683548f + t * 0.1526899486780167f;
  const F l = (t2 - (t + t)) + (t2 * t) * ((l0 + t2 * l1) + t4 * (l2 + t2 * l3));
  const F radius = M::sqrt(M::toFloat(e) * -1.3862943611198906f + l);
  // cos and sin. The nearest quarter turn is the top two bits of v + 2^29; the rest, in [-pi/4, pi/4), is exact.
  const U turned = (U)v + 0x20000000u;
  const F f = M::toFloat((I)((U)v << 2)) * 3.6572951981e-10f;  // (pi / 2) 2^-32
  const F z = f * f;
  const F s0 = z * -0.00019517297914717346f + 0.008332177996635437f;
  const F s = radius * (f + (f * z) * (s0 * z + -0.16666655242443085f));
  const F c0 = z * 2.4438451873720624e-05f + -0.001388736767694354f;
  const F c = radius * ((1.0f - z * 0.5f) + (z * z) * (c0 * z + 0.04166664555668831f));
  const I swap = (I)(turned << 1);  // negative in odd quarters
  even = M::real(M::bits(M::pick(swap, s, c)) ^ (I)((turned + 0x40000000u) & 0x80000000u));
  odd = M::real(M::bits(M::pick(swap, c, s)) ^ (I)(turned & 0x80000000u));
}

}  // namespace ISA
}  // namespace bayes
