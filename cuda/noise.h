// Normals of a counter (native/shared/philox.h), one thread at a time. Bit for bit those of the CPU: units that include
// this are compiled without contraction.
#pragma once
#include "op.h"
#define ISA gpu
#include "native/shared/philox.h"
#undef ISA

namespace bayes {
namespace cuda {

struct ScalarMath {
  typedef int32_t I;
  typedef uint32_t U;
  typedef float F;
  static __device__ __forceinline__ F toFloat(I a) { return static_cast<float>(a); }
  static __device__ __forceinline__ I bits(F a) { return bitsOf(a); }
  static __device__ __forceinline__ F real(I a) { return floatOf(a); }
  static __device__ __forceinline__ F pick(I i, F a, F b) { return i < 0 ? a : b; }
#if defined(EMULATED)
  static __forceinline__ F sqrt(F a) { return __builtin_sqrtf(a); }
#else
  static __device__ __forceinline__ F sqrt(F a) { return __fsqrt_rn(a); }
#endif
};

// The four normals of a counter under a key.
__device__ __forceinline__ void normals(float (&z)[4], uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                        uint32_t k1) {
  uint32_t u[4] = {c0, c1, c2, c3};
  gpu::philox4x32(u, k0, k1);
  gpu::normalPair<ScalarMath>(static_cast<int32_t>(u[0]), static_cast<int32_t>(u[1]), z[0], z[1]);
  gpu::normalPair<ScalarMath>(static_cast<int32_t>(u[2]), static_cast<int32_t>(u[3]), z[2], z[3]);
}

// The two inputs that every op with noise ends with: rng i32[4] = seed low, seed high, step, first sample; rows i32[B].
// Launch row q is sample q / B of example q mod B.
struct NoiseSource {
  const int32_t *rng, *rows;
  long batch;
  uint32_t stream;
  NoiseSource(const Step& s, int input)
      : rng(s.in[input].i32()),
        rows(s.in[input + 1].i32()),
        batch(s.in[input + 1].dim(0)),
        stream(static_cast<uint32_t>(s.attr("stream"))) {}
  // words 1..3 of the counters of launch row q
  __device__ __forceinline__ void row(uint32_t (&c)[4], long q) const {
    c[1] = static_cast<uint32_t>(rows[q % batch]), c[2] = static_cast<uint32_t>(rng[2]);
    c[3] = stream * 65536u + static_cast<uint32_t>(rng[3] + q / batch);
  }
  __device__ __forceinline__ void words(uint32_t (&u)[4], long q, uint32_t counter) const {
    u[0] = counter;
    row(u, q);
    gpu::philox4x32(u, static_cast<uint32_t>(rng[0]), static_cast<uint32_t>(rng[1]));
  }
  __device__ __forceinline__ void normalsOf(float (&z)[4], long q, uint32_t counter) const {
    uint32_t u[4] = {counter, 0, 0, 0};
    row(u, q);
    normals(z, u[0], u[1], u[2], u[3], static_cast<uint32_t>(rng[0]), static_cast<uint32_t>(rng[1]));
  }
};

}  // namespace cuda
}  // namespace bayes
