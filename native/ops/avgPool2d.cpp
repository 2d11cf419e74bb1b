// Mean of each window, NHWC: over the whole kernel (countIncludePad) or over what lies inside the image. The gradient
// gathers: each pixel of dx sums the windows that cover it, in a fixed order. Bound by bandwidth.
#include "../loops/channels.h"
#include "../loops/window.h"
namespace bayes {
namespace ISA {

// A window of the whole image: sums over [pixels, channels].
INL bool global(const Window& g) { return g.oh == 1 && g.ow == 1 && g.kh == g.h && g.kw == g.w && !g.top && !g.left; }

// Of KH x KW pixels, by rows
template <int KH, int KW>
INL vf windowSum(const float* x, long rowStep, long pixel) {
  vf sum{};
  for (int i = 0; i < KH; i++) {
    vf row{};
    for (int j = 0; j < KW; j++) row += load(x + i * rowStep + j * pixel);
    sum += row;
  }
  return sum;
}

// KH = 0: of any size
template <int KH, int KW>
INL void averageRows(const Window window, bool includePad, const float* x, float* y, long from, long to) {
  const Window g = window;
  const long rowStep = g.w * g.c, total = g.n * g.h * rowStep, end = to * g.ow * g.c, vectors = roundUp(g.c, W);
  eachWindow(g, from, to, [=](const WindowAt& at) {
    const Span ys = at.rows, xs = at.columns;
    const long height = ys.to - ys.from, width = xs.to - xs.from, count = includePad ? g.kh * g.kw : height * width;
    const vf share = set1(1.f / static_cast<float>(count));
    // whole windows and whole vectors, up to the last channel
    if (KH && height == KH && width == KW && at.out + vectors <= end &&
        at.in + (KH - 1) * rowStep + (KW - 1) * g.c + vectors <= total) {
      for (long c = 0; c < g.c; c += W)
        store(y + at.out + c, windowSum < KH ? KH : 1, KW ? KW : 1 > (x + at.in + c, rowStep, g.c) * share);
      return;
    }
    for (long c = 0; c < g.c; c += W) {
      vf sum{};
      for (long i = ys.from; i < ys.to; i++) {
        vf row{};
        for (long j = xs.from; j < xs.to; j++) {
          const long k = at.in + i * rowStep + j * g.c + c;
          row += loadn(x + k, total - k);
        }
        sum += row;
      }
      storen(y + at.out + c, sum * share, end - at.out - c);
    }
  });
}

OP(avgPool2d) {  // x [N,H,W,C] -> y [N,OH,OW,C]
  const Window g = Window::of(s, s.in[0], s.out[0]);
  const bool includePad = s.attr("countIncludePad") != 0;
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  const long pixels = g.h * g.w;
  if (global(g)) return channelSums(x, y, g.n, pixels, g.c, 1 / static_cast<double>(pixels), s.scratch);
  parallelRows(g.n * g.oh, g.ow * g.c * g.kh, [=](long from, long to) {
    if (g.kh == 2 && g.kw == 2) averageRows<2, 2>(g, includePad, x, y, from, to);
    else if (g.kh == 3 && g.kw == 3) averageRows<3, 3>(g, includePad, x, y, from, to);
    else averageRows<0, 0>(g, includePad, x, y, from, to);
  });
}
CONTRACT(avgPool2d) {
  c.in("x", "f32[N, H, W, C]");
  c.flag("countIncludePad"), pooling(c);
  c.out("y", "f32[N, P, Q, C]");
}

SCRATCH(avgPool2d) {
  const Window g = Window::of(s, s.in[0], s.out[0]);
  return global(g) ? channelScratch(g.n, g.h * g.w, g.c) : 0;
}

OP(avgPool2dGrad) {  // dy [N,OH,OW,C] -> dx [N,H,W,C]
  const Window g = Window::of(s, s.out[0], s.in[0]);
  const bool includePad = s.attr("countIncludePad") != 0;
  const float* dy = s.in[0].f32();
  float* dx = s.out[0].f32();
  parallelRows(g.n * g.h, g.w * g.c, [=](long from, long to) {
    const long end = to * g.w * g.c, total = g.n * g.oh * g.ow * g.c;
    eachCovered(g, from, to, [&](long image, long, long, long pixel, const Cover& rows, const Cover& columns) {
      const long out = pixel * g.c;
      const auto share = [&](long i, long j) {  // of window [i, j]
        const Span ys = inside(i * g.sh - g.top, g.kh, g.h), xs = inside(j * g.sw - g.left, g.kw, g.w);
        const long count = includePad ? g.kh * g.kw : (ys.to - ys.from) * (xs.to - xs.from);
        return set1(1.f / static_cast<float>(count));
      };
      if (rows.lo == rows.hi && columns.lo == columns.hi) {  // the only one
        const vf k = share(rows.lo, columns.lo);
        const long at = ((image * g.oh + rows.lo) * g.ow + columns.lo) * g.c;
        for (long c = 0; c < g.c; c += W)
          storen(dx + out + c, vf{} + loadn(dy + at + c, total - at - c) * k, end - out - c);
        return;
      }
      for (long c = 0; c < g.c; c += W) {
        vf sum{};
        for (long i = rows.lo; i <= rows.hi; i++)
          for (long j = columns.lo; j <= columns.hi; j++) {
            const long at = ((image * g.oh + i) * g.ow + j) * g.c + c;
            sum += loadn(dy + at, total - at) * share(i, j);
          }
        storen(dx + out + c, sum, end - out - c);
      }
    });
  });
}
CONTRACT(avgPool2dGrad) {
  c.shape("shape", c.out("dx", "f32[N, H, W, C]"));
  c.flag("countIncludePad"), pooling(c);
  c.in("dy", "f32[N, P, Q, C]");
}

}  // namespace ISA
}  // namespace bayes
