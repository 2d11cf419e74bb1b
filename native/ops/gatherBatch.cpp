// The images of one step, from the resident data set: chosen by index, varied (the rule is augmentParams in
// lib/data/augment.ts), padded with zeros, and normalized: x = pixel * scale[c] + shift[c]. Moves and flips are bound
// by bandwidth: one byte read and four written per value. Numbers per channel are laid out along a run of pixels, so
// that lanes do not care about channels.
#include <stdio.h>
#include "../vector/bytes.h"
#include "../shared/philox.h"
namespace bayes {
namespace ISA {

INL vf loadPixels(const uint8_t* p, long n) { return toFloat(loadBytes(p, n)); }
INL vf loadPixels(const float* p, long n) { return loadn(p, n); }
INL vf clampPixels(const uint8_t*, vf v) { return minv(maxv(v, vf{}), set1(255)); }
INL vf clampPixels(const float*, vf v) { return v; }

// An index that has been checked, read again: shared memory may have changed under the run.
INL long within(int32_t index, long n) { return maxl(0, minl(index, n - 1)); }

INL long tableSize(long c) { return ceilDiv(1024, c * W) * c * W; }  // whole pixels and whole vectors

// How one image is varied.
struct Variation {
  long dx, dy;
  bool flip;
  bool resampled;                 // by crop or angle: pixel (x, y) of the result shows the point
  double xu, xv, x1, yu, yv, y1;  // (xu u + xv v + x1, yu u + yv v + y1), (u, v) from the centre and before the move
  float brightness, contrast;     // factors
  long cutTop, cutLeft, cut;      // the black square
};

// The rule for all of them.
struct Augment {
  uint32_t seed[2], epoch;
  long reach, cut;
  bool flips;
  const double* crop;  // null: none
  double rotate, brightness, contrast;

  INL Augment(const Step& s) {
    for (int i = 0; i < 2; i++) seed[i] = static_cast<uint32_t>(s.in[2].i32()[i]);
    epoch = static_cast<uint32_t>(s.in[3].i32()[0]);
    reach = static_cast<long>(s.attr("augmentShift")), cut = static_cast<long>(s.attr("cutout"));
    flips = s.attr("augmentFlip") != 0;
    const Attr* c = s.find("crop");
    crop = c && c->count == 6 ? c->values : nullptr;
    rotate = s.attr("rotate"), brightness = s.attr("brightness"), contrast = s.attr("contrast");
  }
  INL bool movesOnly() const { return !crop && rotate == 0 && !colours() && !cut; }
  INL bool colours() const { return brightness != 0 || contrast != 0; }

  INL void words(uint32_t u[4], uint32_t block, int32_t example) const {
    u[0] = block, u[1] = static_cast<uint32_t>(example), u[2] = epoch, u[3] = 65532u << 16;
    philox4x32(u, seed[0], seed[1]);
  }
  static INL long below(uint32_t word, long n) { return static_cast<long>(static_cast<uint64_t>(word) * n >> 32); }
  static INL double unit(uint32_t word) { return (word + 0.5) / 4294967296.0; }
  static INL double around(uint32_t word, double reach) { return 1 + (2 * unit(word) - 1) * reach; }

  INL Variation of(int32_t example, long h, long w) const {
    uint32_t u[4];
    words(u, 0, example);
    Variation v{};
    v.dx = below(u[0], 2 * reach + 1) - reach, v.dy = below(u[1], 2 * reach + 1) - reach, v.flip = flips && u[2] >> 31;
    if (movesOnly()) return v;
    words(u, 1, example);
    double cos = 1, sin = 0;
    if (rotate != 0) cosSin((2 * unit(u[0]) - 1) * rotate * (3.141592653589793 / 180), cos, sin);
    v.brightness = static_cast<float>(around(u[1], brightness));
    v.contrast = static_cast<float>(around(u[2], contrast));
    if (cut) {
      words(u, 2, example);
      v.cut = cut, v.cutTop = below(u[0], h) - (cut >> 1), v.cutLeft = below(u[1], w) - (cut >> 1);
    }
    long top = 0, left = 0, ch = h, cw = w;
    if (crop) part(example, h, w, top, left, ch, cw);
    v.resampled = crop || rotate != 0;
    const double perX = static_cast<double>(cw) / w, perY = static_cast<double>(ch) / h;
    v.xu = perX * cos, v.xv = -perX * sin, v.yu = perY * sin, v.yv = perY * cos;
    v.x1 = cw / 2.0 + left - 0.5, v.y1 = ch / 2.0 + top - 0.5;
    return v;
  }

  INL void part(int32_t example, long h, long w, long& top, long& left, long& ch, long& cw) const {
    for (uint32_t attempt = 0; attempt < 10; attempt++) {
      uint32_t u[4];
      words(u, 3 + attempt, example);
      const double area = static_cast<double>(h * w) * (crop[0] + (crop[1] - crop[0]) * unit(u[0]));
      const double aspect = exp(crop[4] + (crop[5] - crop[4]) * unit(u[1]));
      cw = static_cast<long>(__builtin_sqrt(area * aspect) + 0.5);
      ch = static_cast<long>(__builtin_sqrt(area / aspect) + 0.5);
      if (cw < 1 || ch < 1 || cw > w || ch > h) continue;
      top = below(u[2], h - ch + 1), left = below(u[3], w - cw + 1);
      return;
    }
    cw = minl(w, maxl(1, static_cast<long>(h * crop[3] + 0.5)));
    ch = minl(h, maxl(1, static_cast<long>(w / crop[2] + 0.5)));
    top = (h - ch) >> 1, left = (w - cw) >> 1;
  }

  // The series of lib/data/augment.ts, operation by operation.
  static INL double exp(double t) {
    const double size = t < 0 ? -t : t;
    double term = 1, sum = 0;
    for (int n = 1; n <= 40; n++) sum += term, term *= size / n;
    return t < 0 ? 1 / sum : sum;
  }
  static INL void cosSin(double t, double& cos, double& sin) {
    double term = 1;
    cos = sin = 0;
    for (int n = 1; n <= 32; n += 2) {
      cos += term, term *= t / n;
      sin += term, term *= -t / (n + 1);
    }
  }
};

struct Gather {
  long h, w, c, pad, size;            // image, and the length of the tables
  const float *scale, *shift, *grey;  // per channel, repeated along the tables

  INL void black(float* out, long pixels) const {
    for (long i = 0; i < pixels * c; i += size) memcpy(out + i, shift, minl(size, pixels * c - i) * sizeof(float));
  }
  template <class T>
  INL void convert(float* out, const T* in, long pixels) const {
    for (long i = 0, n = pixels * c; i < n; i += size)
      for (long j = 0, m = minl(size, n - i); j < m; j += W)
        storen(out + i + j, loadPixels(in + i + j, m - j) * load(scale + j) + load(shift + j), m - j);
  }
  template <class T>
  INL void mirror(float* out, const T* in, long pixels) const {
    for (long i = 0; i < pixels; i++)
      for (long k = 0; k < c; k++)
        out[i * c + k] = static_cast<float>(in[(pixels - 1 - i) * c + k]) * scale[k] + shift[k];
  }

  // Row y of the padded result of an image that is at most moved and mirrored.
  template <class T>
  INL void moved(float* row, const T* image, long y, const Variation& v) const {
    const long source = y - v.dy, ow = w + 2 * pad;
    if (y < 0 || y >= h || source < 0 || source >= h) return black(row, ow);
    const T* in = image + source * w * c;
    // columns [a, b) show the image before it is mirrored
    const long a = minl(w, maxl(0, v.dx)), b = maxl(a, minl(w, w + v.dx)), left = v.flip ? w - b : a;
    black(row, pad + left);
    float* middle = row + (pad + left) * c;
    if (v.flip) mirror(middle, in + (a - v.dx) * c, b - a);
    else convert(middle, in + (a - v.dx) * c, b - a);
    black(middle + (b - a) * c, ow - pad - left - (b - a));
  }

  // Row y of the image itself, its pixels as stored, where a pixel shows any point of the image: bilinear. C: channels,
  // where few are known, else 0.
  template <int C, class T>
  INL void resample(float* out, const T* image, long y, const Variation& v) const {
    const long n = C ? C : c;
    const double right = w - 0.5, bottom = h - 0.5, yy = y - v.dy - (h - 1) / 2.0;
    const double xv = v.xv * yy, yv = v.yv * yy;
    for (long x = 0; x < w; x++, out += n) {
      const double u = (v.flip ? w - 1 - x : x) - v.dx - (w - 1) / 2.0;
      const double px = v.xu * u + xv + v.x1, py = v.yu * u + yv + v.y1;
      if (!(px >= -0.5 && px <= right && py >= -0.5 && py <= bottom)) {
        for (long k = 0; k < n; k++) out[k] = 0;
        continue;
      }
      const long x0 = static_cast<long>(px + 1) - 1, y0 = static_cast<long>(py + 1) - 1;  // floors
      const float fx = static_cast<float>(px - x0), fy = static_cast<float>(py - y0);
      const long a = maxl(0, x0) * n, b = minl(w - 1, x0 + 1) * n;
      const T *p = image + maxl(0, y0) * w * n, *q = image + minl(h - 1, y0 + 1) * w * n;
      for (long k = 0; k < n; k++) {
        const float p0 = p[a + k], p1 = p[b + k], q0 = q[a + k], q1 = q[b + k];
        const float above = p0 + fx * (p1 - p0), below = q0 + fx * (q1 - q0);
        out[k] = above + fy * (below - above);
      }
    }
  }

  // Brightness, contrast and normalization of an image whose rows are `stride` floats apart, its pixels as stored.
  template <class T>
  INL void colour(float* image, long stride, const Variation& v) const {
    const T* kind = nullptr;
    vf total{};
    auto each = [&](auto f) {  // f(vector, its place in the tables, how many)
      for (long y = 0; y < h; y++)
        for (long i = 0; i < w * c; i += size)
          for (long j = 0, m = minl(size, w * c - i); j < m; j += W) f(image + y * stride + i + j, j, m - j);
    };
    each([&](float* p, long j, long n) {
      const vf value = clampPixels(kind, loadn(p, n) * set1(v.brightness));
      storen(p, value, n);
      total += value * load(grey + j);
    });
    const vf middle = set1((1 - v.contrast) * (sum(total) / static_cast<float>(h * w)));
    each([&](float* p, long j, long n) {
      const vf value = clampPixels(kind, loadn(p, n) * set1(v.contrast) + middle);
      storen(p, value * load(scale + j) + load(shift + j), n);
    });
  }

  INL void cutOut(float* image, long stride, const Variation& v) const {
    const long x0 = maxl(0, v.cutLeft), x1 = minl(w, v.cutLeft + v.cut);
    for (long y = maxl(0, v.cutTop); y < minl(h, v.cutTop + v.cut); y++) black(image + y * stride + x0 * c, x1 - x0);
  }
};

template <class T>
INL void gatherMoved(const Step& s, Gather g, const Augment* augment) {
  const T* data = static_cast<const T*>(s.in[0].data);
  const int32_t *index = s.in[1].i32(), *examples = s.nin > 4 ? s.in[4].i32() : index;
  float* out = s.out[0].f32();
  const long h = g.h, w = g.w;
  if (!augment && !g.pad) g.w *= g.h, g.h = 1;  // an image that only has to be converted is one row
  const long oh = g.h + 2 * g.pad, ow = g.w + 2 * g.pad, images = s.in[0].dim(0);
  parallelRange(s.in[1].size() * oh, maxl(1, 16384 / (ow * g.c)), [&](long from, long to) {
    long image = -1;
    Variation v{};
    for (long r = from; r < to; r++) {
      if (augment && r / oh != image) image = r / oh, v = augment->of(examples[image], h, w);
      g.moved(out + r * ow * g.c, data + within(index[r / oh], images) * h * w * g.c, r % oh - g.pad, v);
    }
  });
}

// The same with everything else: an image a task.
template <class T>
INL void gatherVaried(const Step& s, const Gather& g, const Augment& augment, const float* ones, const float* zeros) {
  const T* data = static_cast<const T*>(s.in[0].data);
  const int32_t *index = s.in[1].i32(), *examples = s.nin > 4 ? s.in[4].i32() : index;
  const long pad = g.pad, oh = g.h + 2 * pad, stride = (g.w + 2 * pad) * g.c, images = s.in[0].dim(0);
  const bool colours = augment.colours();
  const Gather stored{g.h, g.w, g.c, 0, g.size, ones, zeros, nullptr},
      plain{g.h, g.w, g.c, 0, g.size, g.scale, g.shift, nullptr};
  parallelRange(s.in[1].size(), 1, [&](long from, long to) {
    for (long i = from; i < to; i++) {
      const Variation v = augment.of(examples[i], g.h, g.w);
      const T* in = data + within(index[i], images) * g.h * g.w * g.c;
      float *out = s.out[0].f32() + i * oh * stride, *inner = out + pad * stride + pad * g.c;
      for (long y = 0; pad && y < oh; y++) g.black(out + y * stride, y < pad || y >= pad + g.h ? stride / g.c : pad);
      for (long y = 0; y < g.h; y++) {
        float* row = inner + y * stride;
        if (pad) g.black(row + g.w * g.c, pad);
        if (!v.resampled) {
          (colours ? stored : plain).moved(row, in, y, v);
          continue;
        }
        if (g.c == 1) g.resample<1>(row, in, y, v);
        else if (g.c == 3) g.resample<3>(row, in, y, v);
        else g.resample<0>(row, in, y, v);
        if (!colours) g.convert(row, row, g.w);
      }
      if (colours) g.colour<T>(inner, stride, v);
      if (v.cut) g.cutOut(inner, stride, v);
    }
  });
}

template <class T>
INL void gather(const Step& s, const Gather& g, const float* ones, const float* zeros) {
  if (s.attr("varied") == 0) return gatherMoved<T>(s, g, nullptr);
  const Augment augment(s);
  if (augment.movesOnly()) gatherMoved<T>(s, g, &augment);
  else gatherVaried<T>(s, g, augment, ones, zeros);
}

// The contract: none, or [least, largest] of the share of the area and of the ratio of the sides, and the logarithms of
// the latter.
static inline void cropAttribute(Contract& c) {
  if (!c.count("crop")) return static_cast<void>(c.numbers("crop", 0));
  const double* v = c.numbers("crop", 6);
  const bool area = v[0] >= 1e-6 && v[1] >= v[0] && v[1] <= 1, ratio = v[2] >= 0.01 && v[3] >= v[2] && v[3] <= 100;
  const bool logs = ratio && fabs(v[4] - ::log(v[2])) < 1e-9 && fabs(v[5] - ::log(v[3])) < 1e-9;
  c.expect(
      area && logs,
      "crop as shares from 1e-6 to 1, ratios from 0.01 to 100 and their logarithms, received %g, %g, %g, %g, %g, %g",
      v[0], v[1], v[2], v[3], v[4], v[5]);
}

OP(gatherBatch) {  // data u8 | f32 [N,H,W,C], index i32[B] (, rng i32[4], epoch i32[1] (, examples i32[B]))
                   // -> x [B, H + 2 pad, W + 2 pad, C]
  const Tensor& data = s.in[0];
  for (long i = 0; i < s.in[1].size(); i++) {
    const long at = s.in[1].i32()[i];
    if (at >= 0 && at < data.dim(0)) continue;
    char why[120];
    snprintf(why, sizeof why, "example %ld is outside the data set of %ld examples", at, data.dim(0));
    failStep(s, why);
  }
  const long c = data.dim(3), size = tableSize(c);
  float *scale = static_cast<float*>(s.scratch), *shift = scale + size, *grey = shift + size;
  float *ones = grey + size, *zeros = ones + size;
  const double *scales = s.find("scale")->values, *shifts = s.find("shift")->values;
  const double rgb[] = {0.2989, 0.587, 0.114};
  for (long i = 0, k = 0; i < size; i++, k = k + 1 < c ? k + 1 : 0) {
    scale[i] = static_cast<float>(scales[k]), shift[i] = static_cast<float>(shifts[k]);
    grey[i] = static_cast<float>(c == 3 ? rgb[k] : 1.0 / c), ones[i] = 1, zeros[i] = 0;
  }
  const Gather g{data.dim(1), data.dim(2), c, static_cast<long>(s.attr("pad")), size, scale, shift, grey};
  if (data.dtype == BAYES_U8) gather<uint8_t>(s, g, ones, zeros);
  else gather<float>(s, g, ones, zeros);
}
CONTRACT(gatherBatch) {
  const Tensor& data = c.in("data", "u8|f32[N, H, W, C]");
  const int channels = static_cast<int>(minl(c['C'], Contract::MOST));
  c.in("index", "i32[B]");
  c.numbers("scale", channels), c.numbers("shift", channels);
  const long pad = c.whole("pad", 0, 1 << 15);
  c.whole("augmentShift", 0, 1 << 15), c.flag("augmentFlip");
  c.whole("cutout", 0, maxl(c['H'], c['W']));
  c.number("rotate", 0, 180), c.number("brightness", 0, 1), c.number("contrast", 0, 1);
  cropAttribute(c);
  if (c.flag("varied")) {
    c.in("rng", "i32[4]"), c.in("epoch", "i32[1...]");
    if (c.inputsLeft()) c.in("examples", "i32[B]");
  }
  c.let('P', data.dims[1] + 2 * pad), c.let('Q', data.dims[2] + 2 * pad);
  c.out("x", "f32[B, P, Q, C]");
}
SCRATCH(gatherBatch) { return 5 * tableSize(s.in[0].dim(3)) * sizeof(float); }

}  // namespace ISA
}  // namespace bayes
