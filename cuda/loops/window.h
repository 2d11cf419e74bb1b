// Geometry of a pooling window over [N, H, W, C].
#pragma once
#include "elementwise.h"

namespace bayes {
namespace cuda {

struct Window {
  long h, w, c;         // the map that is pooled
  long oh, ow;          // the result
  long kh, kw, sh, sw;  // kernel and stride
  long top, left;       // padding; that of bottom and right shows in oh and ow

  Window(const Step& s, const Tensor& in, const Tensor& out)
      : h(in.dim(1)),
        w(in.dim(2)),
        c(in.dim(3)),
        oh(out.dim(1)),
        ow(out.dim(2)),
        kh(whole(s, "kernel", 0)),
        kw(whole(s, "kernel", 1)),
        sh(whole(s, "stride", 0)),
        sw(whole(s, "stride", 1)),
        top(whole(s, "padding", 0)),
        left(whole(s, "padding", 1)) {}
  static long whole(const Step& s, const char* name, int i) { return static_cast<long>(s.attr(name, 0, i)); }
};

struct Span {
  long from, to;
};
// Part of a window of size k that starts at `start` and lies inside [0, n).
__device__ __forceinline__ Span inside(long start, long k, long n) {
  return {start < 0 ? -start : 0, start + k < n ? k : n - start};
}
// The results [from, to) whose windows cover position i.
__device__ __forceinline__ Span covering(long i, long k, long stride, long pad, long n) {
  const long first = i + pad - k + 1, last = (i + pad) / stride + 1;
  return {first <= 0 ? 0 : (first + stride - 1) / stride, last < n ? last : n};
}

}  // namespace cuda
}  // namespace bayes
