// The images of one step, chosen by index, as normalized floats with zeros (black) around them, perhaps varied. A block
// has an image; a thread has pixels of it.
#include "../augment.h"
#include "../loops/index.h"
#include "../loops/reduce.h"

namespace bayes {
namespace cuda {

constexpr int MOST_CHANNELS = 32;

struct Gather {
  const void* data;
  bool bytes;  // u8, else f32
  const int32_t *index, *examples;
  float* out;
  long count, h, w, c, pad;
  float scale[MOST_CHANNELS], shift[MOST_CHANNELS], grey[MOST_CHANNELS];
  Augment augment;
  Fault* fault;
  int step;

  __device__ __forceinline__ float stored(long image, long y, long x, long k) const {
    const long at = ((image * h + y) * w + x) * c + k;
    return bytes ? static_cast<float>(static_cast<const uint8_t*>(data)[at]) : static_cast<const float*>(data)[at];
  }
  __device__ __forceinline__ float clamp(float v) const { return !bytes ? v : v < 0 ? 0.f : v > 255 ? 255.f : v; }

  // Channel k of what pixel (x, y) of the image shows, as stored; `black` where that lies outside.
  __device__ float shown(long image, long y, long x, long k, const Variation& v, float black) const {
    if (!v.resampled) {
      const long sy = y - v.dy, sx = (v.flip ? w - 1 - x : x) - v.dx;
      return sy >= 0 && sy < h && sx >= 0 && sx < w ? stored(image, sy, sx, k) : black;
    }
    const double u = (v.flip ? w - 1 - x : x) - v.dx - (w - 1) / 2.0, yy = y - v.dy - (h - 1) / 2.0;
    const double px = v.xu * u + v.xv * yy + v.x1, py = v.yu * u + v.yv * yy + v.y1;
    if (!(px >= -0.5 && px <= w - 0.5 && py >= -0.5 && py <= h - 0.5)) return black;
    const long x0 = static_cast<long>(px + 1) - 1, y0 = static_cast<long>(py + 1) - 1;  // floors
    const float fx = static_cast<float>(px - x0), fy = static_cast<float>(py - y0);
    const long a = x0 < 0 ? 0 : x0, b = x0 + 1 < w ? x0 + 1 : w - 1;
    const long p = y0 < 0 ? 0 : y0, q = y0 + 1 < h ? y0 + 1 : h - 1;
    const float p0 = stored(image, p, a, k), p1 = stored(image, p, b, k);
    const float q0 = stored(image, q, a, k), q1 = stored(image, q, b, k);
    const float above = p0 + fx * (p1 - p0), below = q0 + fx * (q1 - q0);
    return above + fy * (below - above);
  }
};

__global__ void __launch_bounds__(BLOCK) gatherKernel(Gather g) {
  const long i = blockIdx.x, oh = g.h + 2 * g.pad, ow = g.w + 2 * g.pad, size = oh * ow * g.c;
  float* const out = g.out + i * size;
  const int32_t at = g.index[i];
  double* const room = reinterpret_cast<double*>(sharedMemory());
  Variation* const variation = reinterpret_cast<Variation*>(room + BLOCK / 32);
  const bool known = at >= 0 && at < g.count;
  if (threadIdx.x == 0) {
    if (!known && firstOutside(g.index, i, g.count))
      raise(g.fault, INDEX_OUTSIDE, g.step, at, static_cast<int32_t>(g.count));
    g.augment.vary(*variation, g.examples[i], g.h, g.w);
  }
  blockBarrier();
  const long image = known ? at : 0;
  const Variation& v = *variation;
  const bool colours = g.augment.colours();
  float middle = 0;  // of the contrast
  if (colours) {
    float sum = 0;
    for (long p = threadIdx.x; p < g.h * g.w; p += BLOCK)
      for (long k = 0; k < g.c; k++)
        sum += g.clamp(g.shown(image, p / g.w, p % g.w, k, v, 0) * v.brightness) * g.grey[k];
    middle = (1 - v.contrast) * static_cast<float>(blockSum(sum, room) / static_cast<double>(g.h * g.w));
  }
  for (long p = threadIdx.x; p < oh * ow; p += BLOCK) {
    const long y = p / ow - g.pad, x = p % ow - g.pad;
    const bool in = y >= 0 && y < g.h && x >= 0 && x < g.w;
    const bool cut = y >= v.cutTop && y < v.cutTop + v.cut && x >= v.cutLeft && x < v.cutLeft + v.cut;
    for (long k = 0; k < g.c; k++) {
      float value = 0;
      if (in && !cut) {
        value = g.shown(image, y, x, k, v, 0);
        if (colours) value = g.clamp(g.clamp(value * v.brightness) * v.contrast + middle);
      }
      out[p * g.c + k] = value * g.scale[k] + g.shift[k];
    }
  }
}

// data u8 | f32 [N,H,W,C], index i32[B] (, rng i32[4], epoch i32[1] (, examples i32[B])) -> x [B, H + 2 pad, W + 2 pad,
// C]
OP(gatherBatch, "scale shift pad augmentShift augmentFlip cutout rotate brightness contrast crop varied") {
  const Tensor& data = s.in[0];
  const long c = data.dim(3);
  if (c > MOST_CHANNELS)
    throw std::runtime_error("expected images of at most 32 channels, received " + std::to_string(c));
  Gather g{data.data,
           data.dtype == BAYES_U8,
           s.in[1].i32(),
           s.nin > 4 ? s.in[4].i32() : s.in[1].i32(),
           s.out[0].f32(),
           data.dim(0),
           data.dim(1),
           data.dim(2),
           c,
           static_cast<long>(s.attr("pad")),
           {},
           {},
           {},
           Augment(s),
           l.fault,
           s.number};
  const double rgb[] = {0.2989, 0.587, 0.114};
  for (int k = 0; k < c; k++) {
    g.scale[k] = static_cast<float>(s.attr("scale", 0, k)), g.shift[k] = static_cast<float>(s.attr("shift", 0, k));
    g.grey[k] = static_cast<float>(c == 3 ? rgb[k] : 1.0 / static_cast<double>(c));
  }
  launch(gatherKernel, static_cast<unsigned>(s.in[1].size()), BLOCK, ROOM + sizeof(Variation), l.stream, g);
}

}  // namespace cuda
}  // namespace bayes
