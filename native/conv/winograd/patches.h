// Patches of an image to the points of a short correlation (toomCook.h), and back.
#pragma once
#include "plan.h"
#include "../parts/columns.h"
#include "../parts/operands.h"

namespace bayes {
namespace ISA {

// The window [h0, h0 + rows) x [w0, w0 + columns) of an image [h, w, c] that starts at `image`, channels c0 .. c0 + W
// of a route -> d [rows][columns][W], zeros outside.
template <int K, bool SECOND>
static void patchKind(const Operands& src, long image, long h, long w, long c, long c0, long h0, long w0, long rows,
                      long columns, float* d) {
  const Span in = inside(h0, rows, h), across = inside(w0, columns, w);
  const long n = across.to - across.from;
  if (in.to - in.from < rows || n < columns)
    for (long i = 0; i < rows * columns; i++) store(d + i * W, vf{});
  d += (in.from * columns + across.from) * W;
  long at = image + ((h0 + in.from) * w + w0 + across.from) * c + c0;
  for (long i = in.from; i < in.to; i++, at += w * c, d += columns * W)
    for (long j = 0; j < n; j++) {
      vf a, b;
      elements<K>(src, at + j * c, c - c0, a, b);
      store(d + j * W, encoded<K>(SECOND ? b : a));
    }
}

// One patch's products of a vector, a point `step` floats from the next -> its results, as many as lie inside, `pixel`
// floats apart.
static inline void fromPoints(const WinogradAxis& vertical, const WinogradAxis& horizontal, const float* products,
                              long step, float* to, long pixel, long inRows, long inColumns) {
  const long mv = vertical.by->m, mh = horizontal.by->m, nh = horizontal.by->n, line = horizontal.out * pixel;
  alignas(64) float a[MOST_POINTS * W], y[MOST_POINTS * W];
  vertical.by->output(products, nh * step, step, a, nh * W, W, nh);
  if (inRows >= mv && inColumns >= mh) return horizontal.by->output(a, W, nh * W, to, pixel, line, mv);
  horizontal.by->output(a, W, nh * W, y, W, mh * W, mv);
  for (long i = 0; i < minl(mv, inRows); i++)
    for (long j = 0; j < minl(mh, inColumns); j++) store(to + i * line + j * pixel, load(y + (i * mh + j) * W));
}

// Patches of a route of `src` [n, h, w, c], a matrix applied along both axes -> [point][patch][channel], a point `step`
// floats from the next, or [point][block][patch][width], the packed columns of columns.h.
struct PatchTransform {
  Operands src;
  bool second;
  Encoding encoding;
  WinogradAxis vertical, horizontal;  // `in` and `pad` are those of src, patches are counted by `out`
  long c;
  bool ofResults;  // windows of m results, for outputGradient; else of n inputs, for input
  // Patch t, at `row` of `rows` of them; ld > 0: the first layout.
  void run(long t, float* to, long step, long row, long rows, long ld) const {
    alignas(64) float a[MOST_POINTS * W], b[MOST_POINTS * W];
    const Correlation &v = *vertical.by, &u = *horizontal.by;
    Correlation::Lines *down = ofResults ? v.outputGradient : v.input, *along = ofResults ? u.outputGradient : u.input;
    const long tall = ofResults ? v.m : v.n, wide = ofResults ? u.m : u.n, h = vertical.in, w = horizontal.in;
    const long across = horizontal.patches(), image = t / across / vertical.patches() * h * w * c;
    const long h0 = t / across % vertical.patches() * v.m - vertical.pad, w0 = t % across * u.m - horizontal.pad;
    const float* plain = src.asItIs(second);
    if (encoding != FLOAT || h0 < 0 || w0 < 0 || h0 + tall > h || w0 + wide > w || c % W) plain = nullptr;
    for (long c0 = 0; c0 < c; c0 += W) {
      if (plain) down(plain + image + (h0 * w + w0) * c + c0, w * c, c, b, wide * W, W, wide);
      else {
        withKind(src, encoding, [&](auto K) {
          if (second) patchKind<K.value, true>(src, image, h, w, c, c0, h0, w0, tall, wide, a);
          else patchKind<K.value, false>(src, image, h, w, c, c0, h0, w0, tall, wide, a);
        });
        down(a, wide * W, W, b, wide * W, W, wide);
      }
      const long block = c0 / (2 * W), start = block * 2 * W;
      float* d = to + (ld ? row * ld + c0 : start * rows + row * blockWidth(c, block) + c0 - start);
      along(b, W, wide * W, d, step, u.n * step, v.n);
    }
  }
};

}  // namespace ISA
}  // namespace bayes
