// Max pooling by windows side by side (stride = kernel, no padding) as part of the layer before it (lib/graph/fuse.ts).
// Of the layer's results only the largest of each window stays: y, its r where the layer is Bayesian, and one byte that
// says which it was. In the lanes (../imageLanes) the map is pooled in registers and the L1 cache; other forms have it,
// and the gradients put back where they came from, in scratch memory for as long as the step runs. Bound by the map's
// way through the cache: each value is read once, a quarter of it (2x2) is written.
#pragma once
#include "../../vector/bytes.h"
#include "../../cpu/scratch.h"
#include "operands.h"
#include "../../loops/window.h"

namespace bayes {
namespace ISA {

// The largest of a window: the first of equals, or the first NaN; its r, and its number in the window.
struct Winner {
  vf best, residue;
  vi where;
};
// Of kh x kw vectors of z and r, rows `line` and columns `pixel` floats apart. KH, KW: when the compiler knows them.
template <int KH, int KW, bool GRADIENT>
INL Winner winnerOf(const float* z, const float* r, long line, long pixel, long kh, long kw) {
  if (KH) kh = KH, kw = KW;
  Winner w{load(z), GRADIENT ? load(r) : vf{}, vi{}};
  for (long i = 0; i < kh; i++)
    for (long j = i ? 0 : 1; j < kw; j++) {
      const vf v = load(z + i * line + j * pixel);
      const vi take = beats(v, w.best);
      w.best = select(take, v, w.best);
      if (!GRADIENT) continue;
      w.residue = select(take, load(r + i * line + j * pixel), w.residue);
      w.where = take ? set1i(static_cast<int32_t>(i * kw + j)) : w.where;
    }
  return w;
}
// f(KindOf<KH>(), KindOf<KW>(), KindOf<GRADIENT>())
template <class F>
INL void withWindow(const PoolWindows& t, bool gradient, F f) {
  if (t.kh == 2 && t.kw == 2) {
    if (gradient) f(KindOf<2>(), KindOf<2>(), KindOf<1>());
    else f(KindOf<2>(), KindOf<2>(), KindOf<0>());
  } else if (gradient) f(KindOf<0>(), KindOf<0>(), KindOf<1>());
  else f(KindOf<0>(), KindOf<0>(), KindOf<0>());
}

struct WindowPool : PoolWindows {
  float *y = nullptr, *r = nullptr;  // [image][rows][columns][k], null when nobody reads it
  uint8_t* where = nullptr;
  Activate activate;

  // Channels [c0, c1) of the map's rows [o0, o1) of one image: z and rz are at its first row. Rows are whole windows,
  // and z and rz have slack.
  void run(const float* z, const float* rz, long image, long o0, long o1, long c0, long c1) const {
    withWindow(*this, r || where, [&](auto KH, auto KW, auto GRADIENT) {
      rowsOf<KH.value, KW.value, GRADIENT.value>(z, rz, image, o0 / kh, minl(ceilDiv(o1, kh), rows), c0, c1);
    });
  }

 private:
  template <int KH, int KW, bool GRADIENT>
  INL void rowsOf(const float* z, const float* rz, long image, long from, long to, long c0, long c1) const {
    const WindowPool t = *this;  // a copy: a store could change this one, for all the compiler knows
    for (long row = from; row < to; row++) {
      const long first = image * size + row * columns * k;
      const float *windows = z + row * kh * w * k, *theirs = (rz ? rz : z) + row * kh * w * k;
      eachChannelVector(columns, k, c0, c1, [=](long i, long o, long c, long, long room) {
        const long at = i * t.kw * t.k + c;
        const Winner winner = winnerOf<KH, KW, GRADIENT>(windows + at, theirs + at, t.w * t.k, t.k, t.kh, t.kw);
        if (t.y) storen(t.y + first + o, winner.best, room);
        if (GRADIENT && t.r) storen(t.r + first + o, winner.residue, room);
        if (GRADIENT && t.where) storeBytes(t.where + first + o, winner.where, room);
      });
      if (y) activateRows(activate, y + first, columns, k, c0, c1);
    }
  }
};

// dz, and dz r where there is an r, put back into the map [n, h, w, k], zero elsewhere.
struct Unpool : PoolWindows {
  long n;
  float *first, *second;  // [image][h][w][k]
  Unpool(const PoolWindows& windows, long images, bool residues, Bump& b) : PoolWindows(windows), n(images) {
    first = use() ? b.floats(n * h * w * k + W) : nullptr;
    second = use() && residues ? b.floats(n * h * w * k + W) : nullptr;
  }
  Operands run(const Operands& pooled, const uint8_t* where) const {
    if (!use()) return pooled;
    parallelRange(n * rows, maxl(1, 16384 / (kh * w * k)), [&](long from, long to) {
      withKind(pooled, [&](auto K) {
        withWindow(*this, false, [&](auto KH, auto KW, auto) {
          for (long row = from; row < to; row++) windows<K.value, KH.value, KW.value>(pooled, where, row);
        });
      });
    });
    return {first, second, second ? BOTH : ONE};
  }

 private:
  // One row of windows. Of a pixel with fewer channels than a vector, the vector runs on into pixels of the same row
  // that are written later; the last windows of a row stay inside it lane by lane.
  template <int K, int KH, int KW>
  void windows(const Operands& pooled, const uint8_t* where, long row) const {
    const long ch = k, rowsIn = KH ? KH : kh, columnsIn = KW ? KW : kw, windowsIn = columns;  // copies: see WindowPool
    const long total = n * size, line = w * k, number = row % rows, top = (row / rows * h + number * kh) * line;
    float *to1 = first + top, *to2 = second + top;
    const long at0 = row * columns * k;
    for (long p = 0; p < windowsIn; p++)
      for (long c = 0; c < ch; c += W) {
        const long at = at0 + p * ch + c, x = p * columnsIn * ch + c, last = x + (columnsIn - 1) * ch + W;
        const bool whole = (ch % W == 0 || (ch < W && last <= line)) && at + W <= total;
        vf a, b;
        elements<K>(pooled, at, whole ? W : total - at, a, b);
        const vi winner = loadBytes(where + at, whole ? W : total - at);
        for (long i = 0; i < rowsIn; i++)
          for (long j = 0; j < columnsIn; j++) {
            const long to = x + i * line + j * ch;
            const vi hit = winner == set1i(static_cast<int32_t>(i * columnsIn + j));
            const vf va = asFloat(asInt(a) & hit), vb = asFloat(asInt(b) & hit);
            if (whole) {
              store(to1 + to, va);
              if (K % 4 != ONE) store(to2 + to, vb);
            } else {
              storen(to1 + to, va, ch - c);
              if (K % 4 != ONE) storen(to2 + to, vb, ch - c);
            }
          }
      }
    const long left = line - columns * kw * k, last = number + 1 == rows ? h - rows * kh : 0;
    for (long route = 0; route < (K % 4 == ONE ? 1 : 2); route++) {
      float* d = (route ? second : first) + top;
      for (long i = 0; i < kh && left; i++) memset(d + (i + 1) * line - left, 0, left * sizeof(float));
      memset(d + kh * line, 0, last * line * sizeof(float));
    }
  }
};

}  // namespace ISA
}  // namespace bayes
