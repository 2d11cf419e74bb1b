// What a product reads besides weights: an image or a map, or the two operands of a Bayesian layer's routes. Tiles come
// into shared memory as they lie; whoever has copied an element then makes of it what the routes multiply.
#pragma once
#include "cuda/math.h"
#include "multiply.h"

namespace bayes {
namespace cuda {

// One route: a. Two: a and a^2 (which is made in registers), a and a * b, or a and b. Where there is an activation, a
// is dL/dy of the output y, and dL/dz is taken in its place.
struct Operands {
  const float *a, *b, *y;  // b: of a PAIR, y: where there is an activation
  Kind kind;
  bool product;
  Activate activate;
  __host__ __device__ __forceinline__ bool activated() const { return activate.kind != IDENTITY; }
  __host__ __device__ __forceinline__ int tiles() const { return 1 + (kind == PAIR) + activated(); }
};
inline Operands one(const float* a, const Activate& f = Activate(), const float* y = nullptr) {
  return {a, nullptr, y, ONE, false, f};
}
inline Operands squared(const float* a) { return {a, nullptr, nullptr, SQUARE, false, Activate()}; }
inline Operands pairOf(const float* a, const float* b) { return {a, b, nullptr, PAIR, false, Activate()}; }

// How many elements a copy takes.
struct Ones {
  static constexpr int value = 1;
};
struct Fours {
  static constexpr int value = 4;
};

// A tile's copy: V elements from `at` on of all tensors, to `to` and FLOATS further each; zeros where !valid.
template <int V, int FLOATS>
__device__ __forceinline__ void copyOperands(const Operands& o, float* to, long at, bool valid) {
  const long from = valid ? at : 0;
  const auto copy = [&](float* tile, const float* p) {
    if (V == 4) copyAsync16(tile, p + from, valid);
    else copyAsync4(tile, p + from, valid);
  };
  copy(to, o.a);
  if (o.kind == PAIR) to += FLOATS, copy(to, o.b);
  if (o.activated()) to += FLOATS, copy(to, o.y);
}
// V elements that this thread has copied and that have arrived: a becomes dL/dz, b the second route's.
template <int V, int FLOATS>
__device__ __forceinline__ void makeOperands(const Operands& o, float* tile) {
  float a[V], b[V], y[V];
  const auto get = [](float(&v)[V], const float* p) {
    if constexpr (V == 4) load4(v, p);
    else v[0] = *p;
  };
  const auto put = [](float* p, const float(&v)[V]) {
    if constexpr (V == 4) store4(p, v);
    else *p = v[0];
  };
  get(a, tile);
  if (o.activated()) {
    get(y, tile + (o.kind == PAIR ? 2 : 1) * FLOATS);
#pragma unroll
    for (int e = 0; e < V; e++) a[e] = o.activate.before(a[e], y[e]);
    put(tile, a);
  }
  if (!o.product) return;
  get(b, tile + FLOATS);
#pragma unroll
  for (int e = 0; e < V; e++) b[e] = a[e] * b[e];
  put(tile + FLOATS, b);
}

// With several samples drawn from one set of moments, g = dL/dz and h = g r are summed over them, in order; with one,
// they are written down for products that read them ready made.
__global__ void __launch_bounds__(256) operandSums(Operands o, long size, int copies, float* g, float* h) {
  for (long i = static_cast<long>(blockIdx.x) * blockDim.x + threadIdx.x; i < size;
       i += static_cast<long>(gridDim.x) * blockDim.x) {
    float first = 0, second = 0;
    for (int s = 0; s < copies; s++) {
      const long at = s * size + i;
      const float a = o.activated() ? o.activate.before(o.a[at], o.y[at]) : o.a[at];
      first += a, second += a * o.b[at];
    }
    g[i] = first, h[i] = second;
  }
}

}  // namespace cuda
}  // namespace bayes
