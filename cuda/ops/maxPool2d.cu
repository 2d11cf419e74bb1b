// Largest value of each window, NHWC: the first of equals wins, and the first NaN. For the gradient the position in the
// window is kept as one byte an output; dx gathers, for each of its pixels, the windows that cover it.
#include "../math.h"
#include "../loops/window.h"

namespace bayes {
namespace cuda {

struct MaxPool {
  Window g;
  const float* x;
  float* y;        // null: a program that wants the gradient alone
  uint8_t* index;  // or null
  Activate activate;
  __device__ __forceinline__ void operator()(long i) const {
    const long c = i % g.c, o = i / g.c % g.ow, r = i / g.c / g.ow, image = r / g.oh;
    const long h0 = r % g.oh * g.sh - g.top, w0 = o * g.sw - g.left;
    const Span ys = inside(h0, g.kh, g.h), xs = inside(w0, g.kw, g.w);
    float best = 0;
    long where = -1;
    for (long a = ys.from; a < ys.to; a++)
      for (long b = xs.from; b < xs.to; b++) {
        const float v = x[((image * g.h + h0 + a) * g.w + w0 + b) * g.c + c];
        if (where < 0 || (!(v <= best) && best == best)) best = v, where = a * g.kw + b;
      }
    if (y) y[i] = activate(best);
    if (index) index[i] = static_cast<uint8_t>(where);
  }
};
struct MaxPoolGrad {
  Window g;
  const float* dy;
  const uint8_t* index;
  float* dx;
  __device__ __forceinline__ void operator()(long i) const {
    const long c = i % g.c, w = i / g.c % g.w, h = i / g.c / g.w % g.h, image = i / g.c / g.w / g.h;
    const Span rows = covering(h, g.kh, g.sh, g.top, g.oh), columns = covering(w, g.kw, g.sw, g.left, g.ow);
    float sum = 0;
    for (long a = rows.from; a < rows.to; a++)
      for (long b = columns.from; b < columns.to; b++) {
        const long at = ((image * g.oh + a) * g.ow + b) * g.c + c;
        const long k = (h - a * g.sh + g.top) * g.kw + w - b * g.sw + g.left;
        if (index[at] == k) sum += dy[at];
      }
    dx[i] = sum;
  }
};

OP(maxPool2d, "kernel stride padding activation slope") {  // x [N,H,W,C] -> y [N,OH,OW,C], index u8 of the same shape
  const Tensor& out = s.out[0] ? s.out[0] : s.out[1];
  each(out.size(), l,
       MaxPool{Window(s, s.in[0], out), s.in[0].f32(), s.out[0] ? s.out[0].f32() : nullptr,
               s.out[1] ? s.out[1].u8() : nullptr, Activate(s)});
}
OP(maxPool2dGrad, "kernel stride padding shape") {  // dy, index [N,OH,OW,C] -> dx [N,H,W,C]
  each(s.out[0].size(), l, MaxPoolGrad{Window(s, s.out[0], s.in[0]), s.in[0].f32(), s.in[1].u8(), s.out[0].f32()});
}

}  // namespace cuda
}  // namespace bayes
