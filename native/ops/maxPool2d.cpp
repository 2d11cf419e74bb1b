// Largest value of each window, NHWC. Bound by bandwidth: x read once, y written once. For the gradient the position in
// the window is kept as one byte an output (window order, the first of equals), so the backward pass reads neither x
// nor y: dx gathers, for each of its pixels, the windows that cover it, in a fixed order and without atomics.
#include "../bytes.h"
#include "../window.h"
namespace bayes {
namespace ISA {

// One vector of one window: rows [y.from, y.to) and columns [x.from, x.to) of it. The first of equals wins, and the
// first NaN. `at` is the window's first channel; `left` how many floats of x follow it in memory.
template <bool WHERE>
INL vf largest(const float* at, long left, long rowStep, long c, long kw, Span y, Span x, vi& where) {
  vf best{};
  bool first = true;
  for (long i = y.from; i < y.to; i++)
    for (long j = x.from; j < x.to; j++) {
      const long offset = i * rowStep + j * c;
      const vf v = loadn(at + offset, left - offset);
      const int32_t k = static_cast<int32_t>(i * kw + j);
      if (first) {
        best = v, first = false;
        if (WHERE) where = set1i(k);
        continue;
      }
      const vi take = (v > best) | ((v != v) & (best == best));
      best = select(take, v, best);
      if (WHERE) where = take ? set1i(k) : where;
    }
  return best;
}

// kh, kw: the kernel when the compiler knows it, and then whole windows are unrolled
template <bool WHERE, int KH, int KW>
INL void poolRows(const Window& g, const float* x, float* y, uint8_t* index, long from, long to) {
  const long rowStep = g.w * g.c, total = g.n * g.h * rowStep, end = to * g.ow * g.c;
  for (long r = from; r < to; r++) {
    const long image = r / g.oh, h0 = r % g.oh * g.sh - g.top;
    const Span ys = inside(h0, g.kh, g.h);
    for (long o = 0; o < g.ow; o++) {
      const long w0 = o * g.sw - g.left, at = (image * g.h + h0) * rowStep + w0 * g.c, out = (r * g.ow + o) * g.c;
      const Span xs = inside(w0, g.kw, g.w);
      const bool whole = KH && ys.to - ys.from == KH && xs.to - xs.from == KW;
      for (long c = 0; c < g.c; c += W) {
        vi where{};
        const vf best = whole ? largest<WHERE>(x + at + c, total - at - c, rowStep, g.c, KW, {0, KH}, {0, KW}, where)
                              : largest<WHERE>(x + at + c, total - at - c, rowStep, g.c, g.kw, ys, xs, where);
        if (y) storen(y + out + c, best, end - out - c);
        if (WHERE) storeBytes(index + out + c, where, end - out - c);
      }
    }
  }
}

template <bool WHERE>
INL void pool(const Window& g, const float* x, float* y, uint8_t* index) {
  parallelRows(g.n * g.oh, g.ow * g.c * g.kh, [=](long from, long to) {
    if (g.kh == 2 && g.kw == 2) poolRows<WHERE, 2, 2>(g, x, y, index, from, to);
    else if (g.kh == 3 && g.kw == 3) poolRows<WHERE, 3, 3>(g, x, y, index, from, to);
    else poolRows<WHERE, 0, 0>(g, x, y, index, from, to);
  });
}

OP(maxPool2d) {  // x [N,H,W,C] -> y [N,OH,OW,C], index u8 of the same shape
  const Window g = Window::of(s, s.in[0], s.out[0] ? s.out[0] : s.out[1]);
  float* y = s.out[0] ? s.out[0].f32() : nullptr;  // null: a program that wants the gradient alone
  if (s.out[1]) pool<true>(g, s.in[0].f32(), y, s.out[1].u8());
  else pool<false>(g, s.in[0].f32(), y, nullptr);
}

// Columns that are tiled by the windows, each in at most one row of windows: every result writes its own pixels of dx.
INL void gradTiled(const Window& g, const float* dy, const uint8_t* index, float* dx) {
  parallelRows(g.n * g.oh, g.sh * g.w * g.c, [=](long from, long to) {
    const long line = g.ow * g.c, covered = line * g.kw, rowStep = g.w * g.c, total = g.n * g.oh * line;
    for (long r = from; r < to; r++) {
      const long image = r / g.oh, o = r % g.oh, h0 = o * g.sh - g.top;
      const long last = o + 1 == g.oh ? g.h : minl(g.h, h0 + g.sh);  // the rows of this task: [first, last)
      for (long h = o ? maxl(0, h0) : 0; h < last; h++) {
        float* row = dx + (image * g.h + h) * rowStep;
        const long i = h - h0;
        if (i < 0 || i >= g.kh) {
          memset(row, 0, rowStep * sizeof(float));
          continue;
        }
        long out = 0;
        for (long p = 0; p < g.ow; p++)
          for (long j = 0; j < g.kw; j++, out += g.c) {
            const vi k = set1i(static_cast<int32_t>(i * g.kw + j));
            for (long c = 0; c < g.c; c += W) {
              const long at = r * line + p * g.c + c;
              const vi hit = loadBytes(index + at, total - at) == k;
              storen(row + out + c, select(hit, loadn(dy + at, total - at), vf{}), covered - out - c);
            }
          }
        memset(row + covered, 0, (rowStep - covered) * sizeof(float));
      }
    }
  });
}

// Any windows: each pixel of dx sums the windows that cover it.
INL void gradAny(const Window& g, const float* dy, const uint8_t* index, float* dx) {
  parallelRows(g.n * g.h, g.w * g.c, [=](long from, long to) {
    const long end = to * g.w * g.c, total = g.n * g.oh * g.ow * g.c;
    for (long r = from; r < to; r++) {
      const long image = r / g.h, h = r % g.h;
      Cover rows{g.kh, g.sh, g.top, g.oh}, columns{g.kw, g.sw, g.left, g.ow};
      rows.advance(h);
      for (long w = 0; w < g.w; w++) {
        columns.advance(w);
        const long out = (r * g.w + w) * g.c;
        for (long c = 0; c < g.c; c += W) {
          vf sum{};
          for (long i = rows.lo; i <= rows.hi; i++)
            for (long j = columns.lo; j <= columns.hi; j++) {
              const long at = ((image * g.oh + i) * g.ow + j) * g.c + c;
              const long k = (h - i * g.sh + g.top) * g.kw + w - j * g.sw + g.left;
              const vi hit = loadBytes(index + at, total - at) == set1i(static_cast<int32_t>(k));
              sum += select(hit, loadn(dy + at, total - at), vf{});
            }
          storen(dx + out + c, sum, end - out - c);
        }
      }
    }
  });
}

OP(maxPool2dGrad) {  // dy, index [N,OH,OW,C] -> dx [N,H,W,C]
  const Window g = Window::of(s, s.out[0], s.in[0]);
  const bool tiled = g.sw == g.kw && g.left == 0 && g.ow * g.kw <= g.w && g.sh >= g.kh;
  if (tiled) gradTiled(g, s.in[0].f32(), s.in[1].u8(), s.out[0].f32());
  else gradAny(g, s.in[0].f32(), s.in[1].u8(), s.out[0].f32());
}

}  // namespace ISA
}  // namespace bayes
