// The packed operand of a product: the columns of a matrix in blocks of two vectors, each block a matrix of its own
// that a register tile reads from front to back.
#pragma once
#include "../../vector/bf16.h"
#include "../../vector/transpose.h"

namespace bayes {
namespace ISA {

// Columns are cut into blocks of 2W, the last one of W or 2W, zero-padded; a packed matrix is [block][step][width].
INL long padded(long columns) { return ceilDiv(columns, W) * W; }
INL long columnBlocks(long columns) { return ceilDiv(columns, 2 * W); }
INL long blockWidth(long columns, long block) { return minl(2 * W, padded(columns) - block * 2 * W); }

// One block of src [steps][ld] -> [steps][width].
static inline void packBlock(float* d, const float* src, long steps, long ld, long columns, long block) {
  const long width = blockWidth(columns, block), c = block * 2 * W, n = minl(width, columns - c);
  for (long t = 0; t < steps; t++, d += width, src += ld)
    for (long j = 0; j < width; j += W) store(d + j, j < n ? loadn(src + c + j, n - j) : vf{});
}

// One block of the transpose of src [columns][ld] -> [steps][width].
static inline void packBlockTransposed(float* d, const float* src, long steps, long ld, long columns, long block) {
  const long width = blockWidth(columns, block), c = block * 2 * W, n = minl(width, columns - c);
  for (long j = 0; j < width; j += 8) {
    const float* s = src + (c + j) * ld;
    long t = 0;
    if (n - j >= 8)
      for (; t + 8 <= steps; t += 8) transpose8(d + t * width + j, width, s + t, ld);
    for (; t < steps; t++)
      for (long i = 0; i < minl(8, width - j); i++) d[t * width + j + i] = j + i < n ? s[i * ld + t] : 0;
  }
}

// Row stride of a panel: whole cache lines, and never a multiple of 1 KiB (rows of a tile would share a cache set).
INL long panelStride(long n) {
  const long s = ceilDiv(n, 16) * 16;
  return s % 256 ? s : s + 16;
}

}  // namespace ISA
}  // namespace bayes
