// Mean of each window, NHWC: over the whole kernel (countIncludePad) or over what lies inside the image. The gradient
// gathers: each pixel of dx sums the windows that cover it, in a fixed order. Bound by bandwidth.
#include "../loops/window.h"
namespace bayes {
namespace ISA {

OP(avgPool2d) {  // x [N,H,W,C] -> y [N,OH,OW,C]
  const Window g = Window::of(s, s.in[0], s.out[0]);
  const bool includePad = s.attr("countIncludePad") != 0;
  const float* x = s.in[0].f32();
  float* y = s.out[0].f32();
  parallelRows(g.n * g.oh, g.ow * g.c * g.kh, [=](long from, long to) {
    const long rowStep = g.w * g.c, total = g.n * g.h * rowStep, end = to * g.ow * g.c;
    for (long r = from; r < to; r++) {
      const long image = r / g.oh, h0 = r % g.oh * g.sh - g.top;
      const Span ys = inside(h0, g.kh, g.h);
      for (long o = 0; o < g.ow; o++) {
        const long w0 = o * g.sw - g.left, at = (image * g.h + h0) * rowStep + w0 * g.c, out = (r * g.ow + o) * g.c;
        const Span xs = inside(w0, g.kw, g.w);
        const long count = includePad ? g.kh * g.kw : (ys.to - ys.from) * (xs.to - xs.from);
        const vf share = set1(1.f / static_cast<float>(count));
        for (long c = 0; c < g.c; c += W) {
          vf sum{};
          for (long i = ys.from; i < ys.to; i++) {  // by rows, so that a global average adds up in two levels
            vf row{};
            for (long j = xs.from; j < xs.to; j++) {
              const long k = at + i * rowStep + j * g.c + c;
              row += loadn(x + k, total - k);
            }
            sum += row;
          }
          storen(y + out + c, sum * share, end - out - c);
        }
      }
    }
  });
}
CONTRACT(avgPool2d) {
  c.in("x", "f32[N, H, W, C]");
  c.flag("countIncludePad"), pooling(c);
  c.out("y", "f32[N, P, Q, C]");
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
      for (long c = 0; c < g.c; c += W) {
        vf sum{};
        for (long i = rows.lo; i <= rows.hi; i++) {
          const Span ys = inside(i * g.sh - g.top, g.kh, g.h);
          for (long j = columns.lo; j <= columns.hi; j++) {
            const Span xs = inside(j * g.sw - g.left, g.kw, g.w);
            const long count = includePad ? g.kh * g.kw : (ys.to - ys.from) * (xs.to - xs.from);
            const long at = ((image * g.oh + i) * g.ow + j) * g.c + c;
            sum += loadn(dy + at, total - at) * set1(1.f / static_cast<float>(count));
          }
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
