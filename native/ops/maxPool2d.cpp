// Largest value of each window, NHWC. Bound by bandwidth: x read once, y written once. For the gradient the position in
// the window is kept as one byte an output (window order, the first of equals), so the backward pass reads neither x
// nor y: dx gathers, for each of its pixels, the windows that cover it, in a fixed order and without atomics.
#include "../vector/activation.h"
#include "../vector/bytes.h"
#include "../loops/window.h"
namespace bayes {
namespace ISA {

constexpr long PLENTY = 1L << 40;  // "so many floats go on": the check that a vector fits goes away

// One vector of one window: rows [y.from, y.to) and columns [x.from, x.to) of it. The first of equals wins, and the
// first NaN. `at` is the window's first channel; `left` how many floats of x may be read from there. Out of line, so
// that what it needs is not laid out for every window.
template <bool WHERE>
static __attribute__((noinline)) vf largest(const float* at, long left, long rowStep, long c, long kw, Span y, Span x,
                                            vi& where) {
  vf best = loadn(at + y.from * rowStep + x.from * c, left - y.from * rowStep - x.from * c);
  if (WHERE) where = set1i(static_cast<int32_t>(y.from * kw + x.from));
  for (long i = y.from; i < y.to; i++)
    for (long j = x.from; j < x.to; j++) {
      const long offset = i * rowStep + j * c;
      const vf v = loadn(at + offset, left - offset);
      const vi take = beats(v, best);
      best = select(take, v, best);
      if (WHERE) where = take ? set1i(static_cast<int32_t>(i * kw + j)) : where;
    }
  return best;
}

// A whole window of a size that the compiler knows: the maximum first, then the number of pixels before the first that
// equals it. Right unless `odd`, the mask of channels where a NaN (or both infinities) made the sum of the pixels one.
template <bool WHERE, int KH, int KW>
INL vf largestOf(const float* at, long rowStep, long c, vi& where, vi& odd) {
  constexpr int K = KH * KW;
  vf v[K];
  for (int k = 0; k < K; k++) v[k] = load(at + k / KW * rowStep + k % KW * c);
  vf best = v[0], sum = v[0];
  for (int k = 1; k < K; k++) best = maxv(best, v[k]), sum += v[k];
  odd = sum != sum;
  if (WHERE) {
    vi before = v[0] != best;
    where = -before;
    for (int k = 1; k < K - 1; k++) before &= v[k] != best, where -= before;
  }
  return best;
}

// kh, kw: the kernel when the compiler knows it, and then whole windows are unrolled. (Geometry goes by value: a store
// could change what it refers to, for all the compiler knows.)
template <bool WHERE, int KH, int KW>
INL void poolRows(const Window g, const float* x, float* y, uint8_t* index, long from, long to) {
  const long rowStep = g.w * g.c, total = g.n * g.h * rowStep, end = to * g.ow * g.c;
  eachWindow(g, from, to, [=](const WindowAt& at) {
    const Span ys = at.rows, xs = at.columns;
    // whole windows and whole vectors, up to the last channel
    const bool whole = KH && ys.to - ys.from == KH && xs.to - xs.from == KW && at.out + g.c + W <= end &&
                       at.in + (g.kh - 1) * rowStep + g.kw * g.c + W <= total;
    for (long c = 0; c < g.c; c += W) {
      const long in = at.in + c, out = at.out + c;
      vi where{}, odd = set1i(-1);
      vf best{};
      if (whole) best = largestOf < WHERE, KH ? KH : 1, KH ? KW : 1 > (x + in, rowStep, g.c, where, odd);
      if (!whole || anyLane(odd)) {
        vi found{};
        best = largest<WHERE>(x + in, total - in, rowStep, g.c, g.kw, ys, xs, found);
        where = found;
      }
      const long room = whole ? PLENTY : end - out;
      if (y) storen(y + out, best, room);
      if (WHERE) storeBytes(index + out, where, room);
    }
  });
}

template <bool WHERE>
INL void pool(const Window& g, const float* x, float* y, uint8_t* index, const Activate& activate) {
  parallelRows(g.n * g.oh, g.ow * g.c * g.kh, [=](long from, long to) {
    if (g.kh == 2 && g.kw == 2) poolRows<WHERE, 2, 2>(g, x, y, index, from, to);
    else if (g.kh == 3 && g.kw == 3) poolRows<WHERE, 3, 3>(g, x, y, index, from, to);
    else poolRows<WHERE, 0, 0>(g, x, y, index, from, to);
    if (y) activate(y + from * g.ow * g.c, (to - from) * g.ow * g.c);
  });
}

OP(maxPool2d) {  // x [N,H,W,C] -> y [N,OH,OW,C], index u8 of the same shape
  const Window g = Window::of(s, s.in[0], s.out[0] ? s.out[0] : s.out[1]);
  float* y = s.out[0] ? s.out[0].f32() : nullptr;  // null: a program that wants the gradient alone
  if (s.out[1]) pool<true>(g, s.in[0].f32(), y, s.out[1].u8(), Activate(s));
  else pool<false>(g, s.in[0].f32(), y, nullptr, Activate(s));
}
CONTRACT(maxPool2d) {
  c.in("x", "f32[N, H, W, C]");
  activationAttributes(c), pooling(c), indexInByte(c, "kernel");
  c.perhaps("y", "f32[N, P, Q, C]"), c.perhaps("index", "u8[N, P, Q, C]");
}

// What W results give to their pixel k: dy where the maximum lies there.
INL vf share(const float* dy, const uint8_t* index, long left, long k) {
  const vi hit = loadBytes(index, left) == set1i(static_cast<int32_t>(k));
  return asFloat(asInt(loadn(dy, left)) & hit);
}

// Columns that are tiled by the windows, each in at most one row of windows: every result writes its own pixels of dx.
INL void gradTiled(const Window& g, const float* dy, const uint8_t* index, float* dx) {
  parallelRows(g.n * g.oh, g.sh * g.w * g.c, [=](long from, long to) {
    const long channels = g.c, kw = g.kw, ow = g.ow;  // copies: a store could change g, for all the compiler knows
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
        for (long p = 0; p < ow; p++)
          for (long j = 0; j < kw; j++, out += channels) {
            const long k = i * kw + j;
            const long at = r * line + p * channels;
            if (at + channels + W <= total && out + channels + W <= covered)
              for (long c = 0; c < channels; c += W) store(row + out + c, share(dy + at + c, index + at + c, W, k));
            else
              for (long c = 0; c < channels; c += W)
                storen(row + out + c, share(dy + at + c, index + at + c, total - at - c, k), covered - out - c);
          }
        memset(row + covered, 0, (rowStep - covered) * sizeof(float));
      }
    }
  });
}

// One pixel of dx: the sum of the R x C windows that cover it, in whole vectors. dy and index are at the first of them,
// of which the pixel is number k.
template <int R, int C>
INL void gradPixel(const Window g, float* dx, const float* dy, const uint8_t* index, long k) {
  for (long c = 0; c < g.c; c += W) {
    vf sum{};
    for (long i = 0; i < R; i++)
      for (long j = 0; j < C; j++) {
        const long at = (i * g.ow + j) * g.c + c;
        sum += share(dy + at, index + at, W, k - i * g.sh * g.kw - j * g.sw);
      }
    store(dx + c, sum);
  }
}
// The same with any number of windows, where dx goes on for `room` floats, and dy and index for `left`.
static __attribute__((noinline)) void gradPixelOf(const Window& g, float* dx, long room, const float* dy,
                                                  const uint8_t* index, long left, long k, long rows, long columns) {
  for (long c = 0; c < g.c; c += W) {
    vf sum{};
    for (long i = 0; i < rows; i++)
      for (long j = 0; j < columns; j++) {
        const long at = (i * g.ow + j) * g.c + c;
        sum += share(dy + at, index + at, left - at, k - i * g.sh * g.kw - j * g.sw);
      }
    storen(dx + c, sum, room - c);
  }
}

// Any windows: each pixel of dx sums the windows that cover it.
INL void gradRows(const Window& window, const float* dy, const uint8_t* index, float* dx, long from, long to) {
  const Window g = window;
  const long end = to * g.w * g.c, total = g.n * g.oh * g.ow * g.c;
  eachCovered(
      g, from, to, [=, &window](long image, long h, long w, long pixel, const Cover& rows, const Cover& columns) {
        const long out = pixel * g.c, at = ((image * g.oh + rows.lo) * g.ow + columns.lo) * g.c;
        const long k = (h - rows.lo * g.sh + g.top) * g.kw + w - columns.lo * g.sw + g.left;
        const long y = rows.hi - rows.lo + 1, x = columns.hi - columns.lo + 1;
        const bool inner = out + g.c + W <= end && at + (y * g.ow + x) * g.c + W <= total;  // whole vectors everywhere
        float* d = dx + out;
        const float* first = dy + at;
        const uint8_t* where = index + at;
        if (inner && y == 1 && x == 1) gradPixel<1, 1>(g, d, first, where, k);
        else if (inner && y == 1 && x == 2) gradPixel<1, 2>(g, d, first, where, k);
        else if (inner && y == 2 && x == 1) gradPixel<2, 1>(g, d, first, where, k);
        else if (inner && y == 2 && x == 2) gradPixel<2, 2>(g, d, first, where, k);
        else gradPixelOf(window, d, end - out, first, where, total - at, k, y, x);
      });
}

OP(maxPool2dGrad) {  // dy, index [N,OH,OW,C] -> dx [N,H,W,C]
  const Window g = Window::of(s, s.out[0], s.in[0]);
  const bool tiled = g.sw == g.kw && g.left == 0 && g.ow * g.kw <= g.w && g.sh >= g.kh;
  if (tiled) gradTiled(g, s.in[0].f32(), s.in[1].u8(), s.out[0].f32());
  else {
    const float* dy = s.in[0].f32();
    const uint8_t* index = s.in[1].u8();
    float* dx = s.out[0].f32();
    parallelRows(g.n * g.h, g.w * g.c, [=](long from, long to) { gradRows(g, dy, index, dx, from, to); });
  }
}
CONTRACT(maxPool2dGrad) {
  c.shape("shape", c.out("dx", "f32[N, H, W, C]"));
  pooling(c), indexInByte(c, "kernel");
  c.in("dy", "f32[N, P, Q, C]"), c.in("index", "u8[N, P, Q, C]");
}

}  // namespace ISA
}  // namespace bayes
