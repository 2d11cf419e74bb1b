// Mean of each window, NHWC: over the whole kernel (countIncludePad) or over what lies inside the image. The gradient
// gathers: each pixel of dx sums the windows that cover it, in a fixed order.
#include "../loops/window.h"

namespace bayes {
namespace cuda {

struct AvgPool {
  Window g;
  bool includePad;
  const float* x;
  float* y;
  __device__ __forceinline__ void operator()(long i) const {
    const long c = i % g.c, o = i / g.c % g.ow, r = i / g.c / g.ow, image = r / g.oh;
    const long h0 = r % g.oh * g.sh - g.top, w0 = o * g.sw - g.left;
    const Span ys = inside(h0, g.kh, g.h), xs = inside(w0, g.kw, g.w);
    const long count = includePad ? g.kh * g.kw : (ys.to - ys.from) * (xs.to - xs.from);
    float sum = 0;
    for (long a = ys.from; a < ys.to; a++) {  // by rows, so that a global average adds up in two levels
      float row = 0;
      for (long b = xs.from; b < xs.to; b++) row += x[((image * g.h + h0 + a) * g.w + w0 + b) * g.c + c];
      sum += row;
    }
    y[i] = sum * (1.f / static_cast<float>(count));
  }
};
struct AvgPoolGrad {
  Window g;
  bool includePad;
  const float* dy;
  float* dx;
  __device__ __forceinline__ void operator()(long i) const {
    const long c = i % g.c, w = i / g.c % g.w, h = i / g.c / g.w % g.h, image = i / g.c / g.w / g.h;
    const Span rows = covering(h, g.kh, g.sh, g.top, g.oh), columns = covering(w, g.kw, g.sw, g.left, g.ow);
    float sum = 0;
    for (long a = rows.from; a < rows.to; a++) {
      const Span ys = inside(a * g.sh - g.top, g.kh, g.h);
      for (long b = columns.from; b < columns.to; b++) {
        const Span xs = inside(b * g.sw - g.left, g.kw, g.w);
        const long count = includePad ? g.kh * g.kw : (ys.to - ys.from) * (xs.to - xs.from);
        sum += dy[((image * g.oh + a) * g.ow + b) * g.c + c] * (1.f / static_cast<float>(count));
      }
    }
    dx[i] = sum;
  }
};

OP(avgPool2d, "kernel stride padding countIncludePad") {  // x [N,H,W,C] -> y [N,OH,OW,C]
  each(s.out[0].size(), l,
       AvgPool{Window(s, s.in[0], s.out[0]), s.attr("countIncludePad") != 0, s.in[0].f32(), s.out[0].f32()});
}
OP(avgPool2dGrad, "kernel stride padding countIncludePad shape") {  // dy [N,OH,OW,C] -> dx [N,H,W,C]
  each(s.out[0].size(), l,
       AvgPoolGrad{Window(s, s.out[0], s.in[0]), s.attr("countIncludePad") != 0, s.in[0].f32(), s.out[0].f32()});
}

}  // namespace cuda
}  // namespace bayes
