// NumPy broadcasting of two inputs. Neighbouring dimensions that move together are merged first, so equal shapes, a
// scalar and a vector over the last axis need few divisions or none.
#pragma once
#include "elementwise.h"

namespace bayes {
namespace cuda {

struct Walk {  // merged dimensions of the result, innermost first; strides in elements, 0 repeats
  int rank = 0;
  long dims[BAYES_MAX_RANK], a[BAYES_MAX_RANK], b[BAYES_MAX_RANK];

  Walk(const Tensor& x, const Tensor& y, const Tensor& out) {
    long strideX = 1, strideY = 1;
    for (int k = 1; k <= out.rank; k++) {
      const long size = out.dim(-k), dx = k <= x.rank ? x.dim(-k) : 1, dy = k <= y.rank ? y.dim(-k) : 1;
      const long ax = dx == 1 ? 0 : strideX, ay = dy == 1 ? 0 : strideY;
      strideX *= dx, strideY *= dy;
      if (size == 1) continue;
      if (rank && ax == a[rank - 1] * dims[rank - 1] && ay == b[rank - 1] * dims[rank - 1]) dims[rank - 1] *= size;
      else dims[rank] = size, a[rank] = ax, b[rank] = ay, rank++;
    }
    for (int k = rank; k < BAYES_MAX_RANK; k++) dims[k] = 1, a[k] = b[k] = 0;
  }
};

template <class F>
struct Broadcast {
  const float *x, *y;
  float* out;
  Walk w;
  F f;
  __device__ __forceinline__ void operator()(long i) const {
    long rest = i, p = 0, q = 0;
    for (int k = 0; k < w.rank; k++) {
      const long d = k + 1 < w.rank ? rest % w.dims[k] : rest;
      rest = k + 1 < w.rank ? rest / w.dims[k] : 0;
      p += d * w.a[k], q += d * w.b[k];
    }
    out[i] = f(x[p], y[q]);
  }
};

// out[0] = f(x, y), broadcast
template <class F>
void broadcastBinary(const Step& s, const Launch& l, const Tensor& x, const Tensor& y, F f) {
  each(s.out[0].size(), l, Broadcast<F>{x.f32(), y.f32(), s.out[0].f32(), Walk(x, y, s.out[0]), f});
}
// The same of the step's inputs, or a list of pairs of equal shapes
template <class F>
void broadcastBinary(const Step& s, const Launch& l, F f) {
  if (s.nin > 2) binary(s, l, f);
  else broadcastBinary(s, l, s.in[0], s.in[1], f);
}

}  // namespace cuda
}  // namespace bayes
