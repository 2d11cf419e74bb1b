// Moves elements of four bytes between two strided views of the same shape: transpose, concat, slice and pad are this
// loop with other strides. Dimensions that run on in both views are merged first; where the innermost one is contiguous
// in the source too, rows are copied whole, else a 2-d block is transposed tile by tile so that both sides stay in
// cache.
#pragma once
#include "../cpu/op.h"
namespace bayes {
namespace ISA {

struct View {
  long dims[BAYES_MAX_RANK], to[BAYES_MAX_RANK], from[BAYES_MAX_RANK];  // sizes, strides of destination and source
  int rank;

  INL void add(long size, long toStride, long fromStride) {
    if (size == 1) return;
    const int last = rank - 1;
    if (rank && to[last] == toStride * size && from[last] == fromStride * size) {
      dims[last] *= size, to[last] = toStride, from[last] = fromStride;
      return;
    }
    dims[rank] = size, to[rank] = toStride, from[rank] = fromStride, rank++;
  }
};

// strides[i] of a dense tensor of these dimensions
INL void denseStrides(const int64_t* dims, int rank, long* strides) {
  long n = 1;
  for (int i = rank - 1; i >= 0; i--) strides[i] = n, n *= dims[i];
}

INL void stridedCopy(float* dst, const float* src, View v) {
  if (!v.rank) v.dims[0] = 1, v.to[0] = 1, v.from[0] = 1, v.rank = 1;
  const int last = v.rank - 1;
  int other = -1;  // the dimension along which the source is contiguous, when it is not the last
  if (v.from[last] != 1)
    for (int i = 0; i < last; i++)
      if (v.from[i] == 1) other = i;
  const long inner = v.dims[last], rows = other < 0 ? 1 : v.dims[other];
  const long block = other < 0 ? 1 : 64, blocks = ceilDiv(rows, block);
  long outer = 1;
  for (int i = 0; i < last; i++)
    if (i != other) outer *= v.dims[i];
  const long piece = other < 0 ? minl(inner, 16384) : inner, pieces = ceilDiv(inner, maxl(1, piece));  // of a long row
  const long grain = maxl(1, 16384 / maxl(1, piece * minl(rows, block)));
  parallelRange(outer * blocks * pieces, grain, [&](long first, long end) {
    for (long task = first; task < end; task++) {
      const long t = task / pieces, from = task % pieces * piece, n = minl(piece, inner - from);
      long rest = t / blocks, d = from * v.to[last], s = from * v.from[last];
      for (int i = last - 1; i >= 0; i--)
        if (i != other) d += rest % v.dims[i] * v.to[i], s += rest % v.dims[i] * v.from[i], rest /= v.dims[i];
      if (other < 0) {
        if (v.from[last] == 1 && v.to[last] == 1) memcpy(dst + d, src + s, n * sizeof(float));
        else
          for (long j = 0; j < n; j++) dst[d + j * v.to[last]] = src[s + j * v.from[last]];
        continue;
      }
      const long i0 = t % blocks * block, i1 = minl(rows, i0 + block);
      for (long j0 = 0; j0 < inner; j0 += 16) {
        const long j1 = minl(inner, j0 + 16);
        for (long i = i0; i < i1; i++) {
          float* to = dst + d + i * v.to[other];
          const float* from = src + s + i;
          for (long j = j0; j < j1; j++) to[j * v.to[last]] = from[j * v.from[last]];
        }
      }
    }
  });
}

INL void fillZero(float* p, long n) {
  parallelRange(n, 65536, [=](long from, long to) { memset(p + from, 0, (to - from) * sizeof(float)); });
}

}  // namespace ISA
}  // namespace bayes
