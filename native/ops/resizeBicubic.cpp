// Bicubic resampling (Keys 1981 with a = -0.75), pixel centres at half integers, the border repeated: what PyTorch
// (align_corners=False) and ONNX (cubic, half_pixel) compute. Separable: each row of the result first mixes rows of x
// into one line that stays in cache, then mixes that line's pixels. Both are sparse sums; the gradient is the same code
// with both tables transposed, so nothing is scattered.
#include "../vector/simd.h"
namespace bayes {
namespace ISA {

// out[i] = sum of weight[e] * in[from[e]] over e in [start[i], start[i + 1])
struct Mix {
  int32_t *start, *from;
  float* weight;

  static INL size_t bytes(long in, long out) { return static_cast<size_t>(maxl(in, out) + 1 + 8 * maxl(in, out)) * 4; }

  static INL double tap(double t) {  // weight at distance t
    constexpr double a = -0.75;
    t = fabs(t);
    if (t <= 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
  }
  // of the map from `in` pixels to `out`, `step` apart in those; transposed: its gradient, from `out` to `in`
  static INL Mix make(void* memory, long in, long out, double step, bool transposed) {
    const long most = maxl(in, out);
    int32_t* start = static_cast<int32_t*>(memory);
    Mix m{start, start + most + 1, reinterpret_cast<float*>(start + most + 1 + 4 * most)};
    auto each = [&](auto f) {  // f(pixel of in, pixel of out, weight), in the order of out
      for (long i = 0; i < out; i++) {
        const double x = (i + 0.5) * step - 0.5, base = floor(x);
        for (int k = -1; k <= 2; k++) {
          const long at = static_cast<long>(base) + k;
          f(at < 0 ? 0 : at >= in ? in - 1 : at, i, static_cast<float>(tap(x - base - k)));
        }
      }
    };
    const long rows = transposed ? in : out;
    memset(start, 0, (rows + 1) * sizeof *start);
    each([&](long p, long q, float) { start[(transposed ? p : q) + 1]++; });
    for (long i = 0; i < rows; i++) start[i + 1] += start[i];
    each([&](long p, long q, float w) {
      const int32_t e = start[transposed ? p : q]++;
      m.from[e] = static_cast<int32_t>(transposed ? q : p), m.weight[e] = w;
    });
    for (long i = rows; i > 0; i--) start[i] = start[i - 1];  // each had moved on to the next row's start
    start[0] = 0;
    return m;
  }
};

INL size_t lineBytes(const Tensor& x) { return static_cast<size_t>(x.dim(2) * x.dim(3) + W) * sizeof(float); }

INL void resample(const Step& s, bool transposed) {
  const Tensor &in = s.in[0], &out = s.out[0], &small = transposed ? out : in, &large = transposed ? in : out;
  char* memory = static_cast<char*>(s.scratch);
  const Mix rows = Mix::make(memory, small.dim(1), large.dim(1), s.attr("step", 1, 0), transposed);
  memory += Mix::bytes(in.dim(1), out.dim(1));
  const Mix columns = Mix::make(memory, small.dim(2), large.dim(2), s.attr("step", 1, 1), transposed);
  memory += Mix::bytes(in.dim(2), out.dim(2));
  const long h = in.dim(1), width = in.dim(2) * in.dim(3), oh = out.dim(1), ow = out.dim(2), c = out.dim(3);
  const float* x = in.f32();
  float* y = out.f32();
  parallel(in.dim(0) * oh, [&](long task, int thread) {
    float* line = reinterpret_cast<float*>(memory + thread * lineBytes(in));
    const long image = task / oh, r = task % oh;
    for (long i = 0; i < width; i += W) {
      vf sum{};
      for (int32_t e = rows.start[r]; e < rows.start[r + 1]; e++)
        sum = fma(set1(rows.weight[e]), loadn(x + (image * h + rows.from[e]) * width + i, width - i), sum);
      store(line + i, sum);
    }
    float* to = y + task * ow * c;
    for (long p = 0; p < ow; p++)
      for (long k = 0; k < c; k += W) {  // a vector may run on into the next pixel, which comes later
        vf sum{};
        for (int32_t e = columns.start[p]; e < columns.start[p + 1]; e++) {
          const long at = columns.from[e] * c + k;
          sum = fma(set1(columns.weight[e]), loadn(line + at, width - at), sum);
        }
        storen(to + p * c + k, sum, (ow - p) * c - k);
      }
  });
}

INL size_t resampleScratch(const Step& s) {
  return Mix::bytes(s.in[0].dim(1), s.out[0].dim(1)) + Mix::bytes(s.in[0].dim(2), s.out[0].dim(2)) +
         poolThreads() * lineBytes(s.in[0]);
}

// The contract: `to` is the result, of height and width; x has `step` pixels per pixel of y. Offsets are of 32 bits.
static inline void resized(Contract& c, const Tensor& x, const Tensor& y, const Tensor& to) {
  if (maxl(maxl(x.dims[1], x.dims[2]), maxl(y.dims[1], y.dims[2])) > 1 << 28)
    c.refuse("at most 2^28 rows and columns, received %s and %s", c.typeOf(x), c.typeOf(y));
  const double* step = c.numbers("step", 2, 1e-9, Contract::MOST);
  for (int i = 0; i < 2; i++) {  // x is covered but for less than a step at its end (H' = floor(H scale))
    const double size = static_cast<double>(x.dims[i + 1]), rest = size - step[i] * static_cast<double>(y.dims[i + 1]);
    c.expect(rest > -1e-9 * size && rest < step[i] * (1 - 1e-12),
             "a step that takes %.0f pixels to %ld of the result, received %.10g", size, (long)y.dims[i + 1], step[i]);
  }
  const long height = c.whole("height", 1, 1 << 28), width = c.whole("width", 1, 1 << 28);
  if (to.dims[1] != height || to.dims[2] != width)
    c.refuse("a result of %ldx%ld pixels, received %s", height, width, c.typeOf(to));
}

OP(resizeBicubic) { resample(s, false); }  // x [N,H,W,C] -> y [N,OH,OW,C]
CONTRACT(resizeBicubic) {
  const Tensor &x = c.in("x", "f32[N, H, W, C]"), &y = c.out("y", "f32[N, P, Q, C]");
  resized(c, x, y, y);
}
SCRATCH(resizeBicubic) { return resampleScratch(s); }
OP(resizeBicubicGrad) { resample(s, true); }  // dy [N,OH,OW,C] -> dx [N,H,W,C]
CONTRACT(resizeBicubicGrad) {
  const Tensor &dy = c.in("dy", "f32[N, P, Q, C]"), &dx = c.out("dx", "f32[N, H, W, C]");
  resized(c, dx, dy, dx);
}
SCRATCH(resizeBicubicGrad) { return resampleScratch(s); }

}  // namespace ISA
}  // namespace bayes
