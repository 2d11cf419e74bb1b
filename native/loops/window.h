// Geometry of a pooling window, and the one trick of the pooling kernels: a vector covers channels of a pixel and may
// run on into the next pixel. What it writes there is overwritten when that pixel's turn comes, since pixels are
// visited in order; only the end of a task is stored by the lane. So few channels (6, or 17) cost no scalar tails.
#pragma once
#include "../vector/simd.h"
namespace bayes {
namespace ISA {

struct Window {
  long n, h, w, c;      // the map that is pooled
  long oh, ow;          // the result
  long kh, kw, sh, sw;  // kernel and stride
  long top, left;       // padding; that of bottom and right shows in oh and ow

  INL static Window of(const Step& s, const Tensor& in, const Tensor& out) {
    auto a = [&](const char* name, int i) { return static_cast<long>(s.attr(name, 0, i)); };
    return {in.dim(0),      in.dim(1),      in.dim(2),      in.dim(3),      out.dim(1),      out.dim(2),
            a("kernel", 0), a("kernel", 1), a("stride", 0), a("stride", 1), a("padding", 0), a("padding", 1)};
  }
};

// The contract of such a window over [N, H, W, C], sizes that are known: [P, Q] is the result's. It fits, and every one
// holds a pixel.
static inline void pooling(Contract& c) {
  const double *kernel = c.wholes("kernel", 2, 1), *stride = c.wholes("stride", 2, 1);
  const double* padding = c.wholes("padding", 4);
  double reach = static_cast<double>(c['C']);
  for (int i = 0; i < 2; i++) {
    const double size = c["HW"[i]] + padding[i] + padding[i + 2];
    c.expect(padding[i] < kernel[i] && padding[i + 2] < kernel[i],
             "padding less than the kernel of %.0f, received %.0f", kernel[i],
             padding[padding[i] < kernel[i] ? i + 2 : i]);
    c.expect(kernel[i] <= size, "a kernel that fits into %.0f pixels, received %.0f", size, kernel[i]);
    c.let("PQ"[i], static_cast<long>((size - kernel[i]) / stride[i]) + 1);
    reach *= size + stride[i];
  }
  c.expect(reach < 1e15, "windows over at most 1e15 values, received %g", reach);
}

// The same of an attribute of two sizes: a byte tells the pixels of a window apart.
static inline void indexInByte(Contract& c, const char* name) {
  const double* kernel = c.wholes(name, 2, 1);
  c.expect(kernel[0] * kernel[1] <= 256, "windows of at most 256 pixels, received %.0fx%.0f", kernel[0], kernel[1]);
}

// Windows of kh x kw side by side over a map [n, h, w, k] -> [n, rows, columns, k]; what is left over is dropped.
struct PoolWindows {
  long kh, kw, h, w, k, rows, columns, size;  // size: of a pooled image
  INL PoolWindows() : PoolWindows(1, 1, 1, 1, 1) {}
  INL PoolWindows(long windowRows, long windowColumns, long mapRows, long mapColumns, long channels)
      : kh(windowRows),
        kw(windowColumns),
        h(mapRows),
        w(mapColumns),
        k(channels),
        rows(h / kh),
        columns(w / kw),
        size(rows * columns * k) {}
  INL bool use() const { return kh * kw > 1; }
};

// Which lanes of v win over the largest so far: what is larger, or the first NaN. Of equals, the first stays.
INL vi beats(vf v, vf best) { return ~(v <= best) & (best == best); }

// Part [from, to) of a window of size k that starts at `start` and lies inside [0, n).
struct Span {
  long from, to;
};
INL Span inside(long start, long k, long n) { return {maxl(0, -start), minl(k, n - start)}; }

// The results whose window covers position i, as i goes up: [lo, hi].
struct Cover {
  long k, stride, pad, n;
  long lo = 0, hi = -1;
  INL void advance(long i) {
    while (hi + 1 < n && (hi + 1) * stride - pad <= i) hi++;
    while (lo * stride - pad + k <= i) lo++;
  }
};

// f(image, h, w, pixel, rows, columns) for every pixel of rows [from, to) of the map that is pooled, in order: `pixel`
// is its number, and rows and columns are the results whose windows cover it.
template <class F>
INL void eachCovered(const Window g, long from, long to, F f) {
  for (long r = from; r < to; r++) {
    const long image = r / g.h, h = r % g.h;
    Cover rows{g.kh, g.sh, g.top, g.oh}, columns{g.kw, g.sw, g.left, g.ow};
    rows.advance(h);
    for (long w = 0; w < g.w; w++) {
      columns.advance(w);
      f(image, h, w, r * g.w + w, rows, columns);
    }
  }
}

// One window: where its first pixel lies in the map (perhaps beside it) and its result, in floats, and the part of it
// that lies on the map.
struct WindowAt {
  long in, out;
  Span rows, columns;
};
// f(window) for every result of rows [from, to) of all images' results, in order.
template <class F>
INL void eachWindow(const Window g, long from, long to, F f) {
  for (long r = from; r < to; r++) {
    const long image = r / g.oh, h0 = r % g.oh * g.sh - g.top;
    const Span rows = inside(h0, g.kh, g.h);
    for (long o = 0; o < g.ow; o++) {
      const long w0 = o * g.sw - g.left;
      f(WindowAt{((image * g.h + h0) * g.w + w0) * g.c, (r * g.ow + o) * g.c, rows, inside(w0, g.kw, g.w)});
    }
  }
}

// f(first row, last row) for runs of rows of `width` floats, some 16 thousand floats to a task
template <class F>
INL void parallelRows(long rows, long width, F f) {
  parallelRange(rows, maxl(1, 16384 / maxl(1, width)), f);
}

}  // namespace ISA
}  // namespace bayes
