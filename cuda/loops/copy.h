// Moves elements of four bytes between two strided views of one shape: transpose, concat, slice and pad are this loop
// with other strides. Dimensions that run on in both views are merged first.
#pragma once
#include "elementwise.h"

namespace bayes {
namespace cuda {

struct View {
  int rank = 0;
  long dims[BAYES_MAX_RANK], to[BAYES_MAX_RANK], from[BAYES_MAX_RANK];  // sizes, strides; outermost first

  View() {
    for (int i = 0; i < BAYES_MAX_RANK; i++) dims[i] = 1, to[i] = from[i] = 0;
  }
  void add(long size, long toStride, long fromStride) {
    if (size == 1) return;
    const int last = rank - 1;
    if (rank && to[last] == toStride * size && from[last] == fromStride * size) {
      dims[last] *= size, to[last] = toStride, from[last] = fromStride;
      return;
    }
    dims[rank] = size, to[rank] = toStride, from[rank] = fromStride, rank++;
  }
  long size() const {
    long n = 1;
    for (int i = 0; i < rank; i++) n *= dims[i];
    return n;
  }
};

// strides[i] of a dense tensor
inline void denseStrides(const Tensor& t, long* strides) {
  long n = 1;
  for (int i = t.rank - 1; i >= 0; i--) strides[i] = n, n *= t.dim(i);
}

struct StridedCopy {
  int32_t* dst;
  const int32_t* src;
  View v;
  __device__ __forceinline__ void operator()(long i) const {
    long rest = i, p = 0, q = 0;
    for (int k = v.rank - 1; k >= 0; k--) {
      const long d = k ? rest % v.dims[k] : rest;
      rest = k ? rest / v.dims[k] : 0;
      p += d * v.to[k], q += d * v.from[k];
    }
    dst[p] = src[q];
  }
};
inline void stridedCopy(const Launch& l, int32_t* dst, const int32_t* src, const View& v) {
  each(v.size(), l, StridedCopy{dst, src, v});
}

}  // namespace cuda
}  // namespace bayes
