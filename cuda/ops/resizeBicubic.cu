// Bicubic resampling (Keys 1981 with a = -0.75), pixel centres at half integers, the border repeated. A thread mixes
// the pixels of one result; the gradient gathers, so nothing is scattered.
#include "../math.h"
#include "../loops/elementwise.h"

namespace bayes {
namespace cuda {

__device__ __forceinline__ double bicubicTap(double t) {  // weight at distance t
  constexpr double a = -0.75;
  t = fabs(t);
  const double inner = ((a + 2) * t - (a + 3)) * t * t + 1, outer = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a;
  return t <= 1 ? inner : t < 2 ? outer : 0;
}
__device__ __forceinline__ long heldInside(long i, long n) { return i < 0 ? 0 : i < n ? i : n - 1; }

struct Bicubic {
  const float* x;
  float* y;
  long h, w, c, oh, ow;
  double stepY, stepX;
  __device__ void operator()(long i) const {
    const long k = i % c, o = i / c % ow, r = i / c / ow % oh, image = i / c / ow / oh;
    const double py = (r + 0.5) * stepY - 0.5, px = (o + 0.5) * stepX - 0.5, y0 = floor(py), x0 = floor(px);
    float sum = 0;
    for (int b = -1; b <= 2; b++) {
      const long at = heldInside(static_cast<long>(x0) + b, w);
      float column = 0;
      for (int a = -1; a <= 2; a++)
        column = fmaf(static_cast<float>(bicubicTap(py - y0 - a)),
                      x[((image * h + heldInside(static_cast<long>(y0) + a, h)) * w + at) * c + k], column);
      sum = fmaf(static_cast<float>(bicubicTap(px - x0 - b)), column, sum);
    }
    y[i] = sum;
  }
};

// Results that pixel p of n has a share in, along one axis: those whose point is less than 2 pixels from it; at a
// border the pixel stands for all beyond it.
struct Shares {
  double step;
  long n, results, pixel, from, to;
  // perPixel: results a pixel, 1 / by
  __device__ __forceinline__ Shares(double by, double perPixel, long size, long count, long p)
      : step(by), n(size), results(count), pixel(p) {
    const double low = (p - 1.5) * perPixel - 1.5, high = (p + 2.5) * perPixel + 1.5;
    from = p == 0 || low < 0 ? 0 : static_cast<long>(low);
    to = p == n - 1 || high > static_cast<double>(count - 1) ? count : static_cast<long>(high) + 1;
  }
  __device__ __forceinline__ float of(long result) const {
    const double at = (result + 0.5) * step - 0.5, base = floor(at);
    float sum = 0;
#pragma unroll
    for (int k = -1; k <= 2; k++)
      sum += heldInside(static_cast<long>(base) + k, n) == pixel ? static_cast<float>(bicubicTap(at - base - k)) : 0.f;
    return sum;
  }
};
struct BicubicGrad {
  const float* dy;
  float* dx;
  long h, w, c, oh, ow;
  double stepY, stepX, perY, perX;
  __device__ void operator()(long i) const {
    const long k = i % c, x = i / c % w, y = i / c / w % h, image = i / c / w / h;
    const Shares rows(stepY, perY, h, oh, y), columns(stepX, perX, w, ow, x);
    float sum = 0;
    for (long o = columns.from; o < columns.to; o++) {
      const float across = columns.of(o);
      float column = 0;
      for (long r = rows.from; r < rows.to; r++)
        column = fmaf(rows.of(r), dy[((image * oh + r) * ow + o) * c + k], column);
      sum = fmaf(across, column, sum);
    }
    dx[i] = sum;
  }
};

OP(resizeBicubic, "step height width") {  // x [N,H,W,C] -> y [N,OH,OW,C]
  const Tensor &x = s.in[0], &y = s.out[0];
  each(y.size(), l,
       Bicubic{x.f32(), y.f32(), x.dim(1), x.dim(2), x.dim(3), y.dim(1), y.dim(2), s.attr("step", 1, 0),
               s.attr("step", 1, 1)});
}
OP(resizeBicubicGrad, "step height width") {  // dy [N,OH,OW,C] -> dx [N,H,W,C]
  const Tensor &dy = s.in[0], &dx = s.out[0];
  const double y = s.attr("step", 1, 0), x = s.attr("step", 1, 1);
  each(dx.size(), l,
       BicubicGrad{dy.f32(), dx.f32(), dx.dim(1), dx.dim(2), dx.dim(3), dy.dim(1), dy.dim(2), y, x, 1 / y, 1 / x});
}

}  // namespace cuda
}  // namespace bayes
