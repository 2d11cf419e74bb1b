// Rows of standard normals. A counter sits in each 64-bit lane, where one multiply gives high and low half at once: 8
// instructions a round without a shuffle. The lanes are numbered so that unpacking the pairs leaves the normals in
// order. Bound by arithmetic: about 145 instructions per 2W normals, some vectors in lockstep (wide.h).
#pragma once
#include "wide.h"
#include "../shared/philox.h"

namespace bayes {
namespace ISA {

template <int N>
struct VectorMath {
  typedef Wide<vi, N> I;
  typedef Wide<vu, N> U;
  typedef Wide<vf, N> F;
  static INL F toFloat(I a) {
    return F([&](int i) { return ISA::toFloat(a.v[i]); });
  }
  static INL I bits(F a) {
    return I([&](int i) { return asInt(a.v[i]); });
  }
  static INL F real(I a) {
    return F([&](int i) { return asFloat(a.v[i]); });
  }
  static INL F sqrt(F a) {
    return F([&](int i) { return sqrtv(a.v[i]); });
  }
  static INL F pick(I c, F a, F b) {
    return F([&](int i) { return c.v[i] < 0 ? a.v[i] : b.v[i]; });
  }
};

typedef uint64_t vq __attribute__((vector_size(VBYTES)));
INL vq setq(uint64_t x) { return x - vq{}; }
// mulLow: low halves -> 64-bit products; of each 128 bits zipLow, zipHigh: a0 b0 a1 b1 and a2 b2 a3 b3, and evenLanes,
// oddLanes: a0 a2 b0 b2 and a1 a3 b1 b3. (The masked forms of AVX-512 compile to the plain ones; g++ 12 warns of an
// uninitialised value inside its own header for those.)
#if defined(__AVX512F__)
INL vq mulLow(vq a, vq b) { return (vq)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)b); }
INL vf zipLow(vf a, vf b) { return _mm512_maskz_unpacklo_ps(0xffff, a, b); }
INL vf zipHigh(vf a, vf b) { return _mm512_maskz_unpackhi_ps(0xffff, a, b); }
INL vf evenLanes(vf a, vf b) { return _mm512_maskz_shuffle_ps(0xffff, a, b, 0x88); }
INL vf oddLanes(vf a, vf b) { return _mm512_maskz_shuffle_ps(0xffff, a, b, 0xdd); }
#elif defined(__AVX2__)
INL vq mulLow(vq a, vq b) { return (vq)_mm256_mul_epu32((__m256i)a, (__m256i)b); }
INL vf zipLow(vf a, vf b) { return _mm256_unpacklo_ps(a, b); }
INL vf zipHigh(vf a, vf b) { return _mm256_unpackhi_ps(a, b); }
INL vf evenLanes(vf a, vf b) { return _mm256_shuffle_ps(a, b, 0x88); }
INL vf oddLanes(vf a, vf b) { return _mm256_shuffle_ps(a, b, 0xdd); }
#elif defined(__x86_64__)
INL vq mulLow(vq a, vq b) { return (vq)_mm_mul_epu32((__m128i)a, (__m128i)b); }
INL vf zipLow(vf a, vf b) { return _mm_unpacklo_ps(a, b); }
INL vf zipHigh(vf a, vf b) { return _mm_unpackhi_ps(a, b); }
INL vf evenLanes(vf a, vf b) { return _mm_shuffle_ps(a, b, 0x88); }
INL vf oddLanes(vf a, vf b) { return _mm_shuffle_ps(a, b, 0xdd); }
#elif defined(__aarch64__)
INL vq mulLow(vq a, vq b) { return (vq)vmull_u32(vmovn_u64((uint64x2_t)a), vmovn_u64((uint64x2_t)b)); }
INL vf zipLow(vf a, vf b) { return vzip1q_f32(a, b); }
INL vf zipHigh(vf a, vf b) { return vzip2q_f32(a, b); }
INL vf evenLanes(vf a, vf b) { return vuzp1q_f32(a, b); }
INL vf oddLanes(vf a, vf b) { return vuzp2q_f32(a, b); }
#else
INL vq mulLow(vq a, vq b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
INL vf zipLow(vf a, vf b) { return vf{a[0], b[0], a[1], b[1]}; }
INL vf zipHigh(vf a, vf b) { return vf{a[2], b[2], a[3], b[3]}; }
INL vf evenLanes(vf a, vf b) { return vf{a[0], a[2], b[0], b[2]}; }
INL vf oddLanes(vf a, vf b) { return vf{a[1], a[3], b[1], b[3]}; }
#endif

// Words 1..3 of the counter and the key: everything about a normal but its place in the row.
struct NoiseRow {
  uint32_t row, step, stream;  // stream: stream * 65536 + sample
  uint32_t key0, key1;
};

constexpr int NOISE_LANES = W / 2;  // counters per vector
constexpr int NOISE_SLACK = 2 * W;  // fillNormals may write this much past the end
constexpr int NOISE_PIECE = 16;     // vectors of counters between the two loops of fillNormals

// The even 32-bit lanes of a, the odd ones of b.
#if defined(__AVX2__) && !defined(__AVX512F__)
INL vq merge(vq a, vq b) { return (vq)_mm256_blend_epi32((__m256i)a, (__m256i)b, 0xaa); }
#else
INL vq merge(vq a, vq b) { return (a & 0xffffffffu) | (b & ~vq{} << 32); }
#endif

// The keys of ten rounds; the last one where it is needed, in the odd lanes.
struct RoundKeys {
  vq key[20];
  INL explicit RoundKeys(const NoiseRow& at) {
    uint32_t k0 = at.key0, k1 = at.key1;
    for (int round = 0; round < 10; round++, k0 += PHILOX_W0, k1 += PHILOX_W1)
      key[2 * round] = setq(k0), key[2 * round + 1] = setq(k1);
    key[19] = key[19] << 32;
  }
};
// What the first three rounds add to counters of a row: of their products, one is the row's alone, and another one
// everybody's, so that only the counter's own are left for every vector.
struct RowWords {
  vq first, second[2], third;
  INL RowWords(vq row, vq stream, uint32_t step, const RoundKeys& keys) {
    const uint64_t b = static_cast<uint64_t>(PHILOX_M1) * step;
    const vq a = mulLow(setq(b >> 32) ^ row ^ keys.key[0], setq(PHILOX_M0));
    first = stream ^ keys.key[1];
    second[0] = setq(b) ^ keys.key[2], second[1] = (a >> 32) ^ keys.key[3];
    third = a ^ keys.key[5];
  }
};

// N vectors of counters, given as their products with PHILOX_M0, of the rows rowOf(j) -> words 0, 2 in u and 1, 3 in v,
// in 32-bit lanes. In lockstep, since one alone is bound by latency. What is in the odd lanes on the way is of no use.
// ALL = false: only words 0 and 1 are wanted, in the even lanes; a product of the last round is left out, and what
// leads to it in the round before.
template <int N, bool ALL = true, class Row>
INL void philoxRounds(const vq (&counters)[N], Row rowOf, const RoundKeys& keys, vq* u, vq* v) {
  const vq m0 = setq(PHILOX_M0), m1 = setq(PHILOX_M1);
  vq c0[N], c1[N], c2[N], c3[N];
#pragma GCC unroll 4
  for (int j = 0; j < N; j++) {
    c1[j] = mulLow((counters[j] >> 32) ^ rowOf(j).first, m1);
    c0[j] = (c1[j] >> 32) ^ rowOf(j).second[0], c2[j] = counters[j] ^ rowOf(j).second[1];
  }
#pragma GCC unroll 10
  for (int round = 2; round < 9; round++)
#pragma GCC unroll 4
    for (int j = 0; j < N; j++) {
      const vq a = mulLow(c0[j], m0), b = mulLow(c2[j], m1);
      c0[j] = (b >> 32) ^ c1[j] ^ keys.key[2 * round], c1[j] = b;
      c2[j] = (a >> 32) ^ (round == 2 ? rowOf(j).third : c3[j] ^ keys.key[2 * round + 1]), c3[j] = a;
    }
#pragma GCC unroll 4
  for (int j = 0; j < N; j++) {
    const vq b = mulLow(c2[j], m1);
    u[j] = (b >> 32) ^ c1[j] ^ keys.key[18], v[j] = b;
    if (!ALL) continue;
    const vq a = mulLow(c0[j], m0);
    u[j] = merge(u[j], a ^ (c3[j] << 32) ^ keys.key[19]), v[j] = merge(b, a << 32);
  }
}
// N vectors of counters of one row, in order.
template <int N>
INL void philoxVectors(vq counter, const RowWords& row, const RoundKeys& keys, vq* u, vq* v) {
  vq c[N];
#pragma GCC unroll 4
  for (int j = 0; j < N; j++) c[j] = mulLow(counter + setq(j * NOISE_LANES), setq(PHILOX_M0));
  philoxRounds<N>(
      c, [&](int) -> const RowWords& { return row; }, keys, u, v);
}

// N vectors of words -> 2N vectors of normals, in order.
template <int N>
INL void normalVectors(const vq* u, const vq* v, float* out) {
  typedef VectorMath<N> M;
  typename M::F even, odd;
  normalPair<M>(typename M::I([&](int i) { return (vi)u[i]; }), typename M::I([&](int i) { return (vi)v[i]; }), even,
                odd);
#pragma GCC unroll 4
  for (int i = 0; i < N; i++, out += 2 * W) {
    store(out, zipLow(even.v[i], odd.v[i]));
    store(out + W, zipHigh(even.v[i], odd.v[i]));
  }
}

// out[0 .. 4 counters): the normals of counters first, first + 1, ... in order. Writes up to NOISE_SLACK floats beyond.
// Two short loops over a piece, not one long one: their chains of dependent instructions overlap from turn to turn.
static inline void fillNormals(float* out, uint32_t first, long counters, const NoiseRow& at) {
  vq lane;
  for (int i = 0; i < NOISE_LANES; i++) lane[i] = i / 2 + (i % 2) * (W / 4);
  const RoundKeys keys(at);
  const RowWords row(setq(at.row), setq(at.stream), at.step, keys);
  const long vectors = ceilDiv(counters, NOISE_LANES);
  for (long i = 0; i < vectors; i += NOISE_PIECE) {
    vq u[NOISE_PIECE], v[NOISE_PIECE];
    const long n = minl(NOISE_PIECE, vectors - i);
    long j = 0;
    const vq start = setq(first + i * NOISE_LANES) + lane;
    for (; j + 4 <= n; j += 4) philoxVectors<4>(start + setq(j * NOISE_LANES), row, keys, u + j, v + j);
    for (; j + 2 <= n; j += 2) philoxVectors<2>(start + setq(j * NOISE_LANES), row, keys, u + j, v + j);
    for (; j < n; j++) philoxVectors<1>(start + setq(j * NOISE_LANES), row, keys, u + j, v + j);
    float* o = out + 4 * NOISE_LANES * i;
    for (j = 0; j + 2 <= n; j += 2, o += 4 * W) normalVectors<2>(u + j, v + j, o);
    if (j < n) normalVectors<1>(u + j, v + j, o);
  }
}

// The normals of one counter for 2W rows at once: pairs(i, pair) gets numbers i and i + 1 of each row's four, for i = 0
// and (where `all`) 2.
struct EvenOdd {
  VectorMath<2>::F even, odd;
};
struct NoiseLanes {
  RoundKeys keys;
  RowWords rows[4];
  // Of 2W rows; key and step are the same for all.
  INL explicit NoiseLanes(const NoiseRow* of)
      : keys(of[0]), rows{words(0, of), words(1, of), words(2, of), words(3, of)} {}
  template <class F>
  INL void draw(uint32_t counter, bool all, F pairs) const {
    if (all) draw<true>(counter, pairs);
    else draw<false>(counter, pairs);
  }

 private:
  template <bool ALL, class F>
  INL void draw(uint32_t counter, F pairs) const {
    const vq c = setq(static_cast<uint64_t>(PHILOX_M0) * counter);
    vq u[4], v[4];
    philoxRounds<4, ALL>(
        {c, c, c, c}, [&](int j) -> const RowWords& { return rows[j]; }, keys, u, v);
    pairs(0, ordered<0>(u, v));
    if (ALL) pairs(2, ordered<1>(u, v));
  }
  // Of vector j, whose lanes are in the order of the words: `ordered` makes that of the rows again.
  INL RowWords words(long j, const NoiseRow* of) const {
    vq row, stream;
    for (long l = 0; l < NOISE_LANES; l++) {
      const NoiseRow& at = of[j / 2 * W + 4 * (l / 2) + l % 2 + j % 2 * 2];
      row[l] = at.row, stream[l] = at.stream;
    }
    return RowWords(row, stream, of[0].step, keys);
  }
  // Words 0 and 1 of the counters, or 2 and 3, in the order of the rows -> two normals each.
  template <int ODD>
  INL static EvenOdd ordered(const vq* u, const vq* v) {
    typedef VectorMath<2> M;
    const auto words = [](const vq* w) {
      return typename M::I([&](int h) {
        const vf a = (vf)w[2 * h], b = (vf)w[2 * h + 1];
        return asInt(ODD ? oddLanes(a, b) : evenLanes(a, b));
      });
    };
    EvenOdd pair;
    normalPair<M>(words(u), words(v), pair.even, pair.odd);
    return pair;
  }
};

// The two noise inputs every stochastic op ends with: rng i32[4] = seed low, seed high, step, first sample; rows
// i32[B].
static inline void noiseInputs(Contract& c) {
  c.whole("stream", 0, 65535);
  c.in("rng", "i32[4]"), c.in("rows", "i32[B]");
}
struct NoiseSource {
  const int32_t *rng, *rows;
  long batch;  // B: launch row q is sample q / B of example q mod B
  uint32_t stream;
  INL NoiseSource(const Step& s, int rngInput)
      : rng(s.in[rngInput].i32()),
        rows(s.in[rngInput + 1].i32()),
        batch(s.in[rngInput + 1].dims[0]),
        stream(static_cast<uint32_t>(s.attr("stream"))) {}
  INL NoiseRow at(long launchRow) const {
    NoiseRow row;
    some(launchRow, 1, 1, &row);
    return row;
  }
  // Of `count` launch rows from `first` on, of which n exist; the last one stands for those that do not.
  INL void some(long first, long n, long count, NoiseRow* to) const {
    long sample = first / batch, row = first % batch;
    for (long i = 0; i < count; i++) {
      to[i] = {static_cast<uint32_t>(rows[row]), static_cast<uint32_t>(rng[2]),
               stream * 65536u + static_cast<uint32_t>(rng[3] + sample), static_cast<uint32_t>(rng[0]),
               static_cast<uint32_t>(rng[1])};
      if (i + 1 < n && ++row == batch) row = 0, sample++;
    }
  }
};

}  // namespace ISA
}  // namespace bayes
