// A panel of image rows with the zeros beside them, which a product reads in place of im2col: the taps of a kernel row
// are one run of kw * c steps in it for every output pixel, so each pixel is copied (and squared) once, not once per
// tap. Serves one group without dilation across, kernels of at most 64 rows, and maps of at least 4 columns. Bound by
// the multiply-adds; the copies are a few per cent.
#pragma once
#include "../parts/columns.h"
#include "../parts/geometry.h"
#include "../parts/operands.h"
#include "../parts/registerTile.h"

namespace bayes {
namespace ISA {

struct RowPanel {
  static constexpr long MOST_ROWS = 64, MOST_LINES = 64;  // of the kernel, and of outputs: wo >= 4
  long run, width, rows;  // steps of a kernel row; floats of a panel row; output rows of a panel
  explicit RowPanel(const Geometry& g) {
    run = g.kw * g.cg, width = ((g.wo - 1) * g.sw + g.kw) * g.c;
    const long reach = g.dh * (g.kh - 1) + 1;
    rows = minl(256 / g.wo, 32768 / ((g.k + 2 * W) * g.wo));          // outputs of 128 KiB a route
    rows = minl(rows, (32768 / width - reach) / g.sh + 1);            // panels of 128 KiB a route
    rows = maxl(1, minl(minl(g.ho, rows), ceilDiv(g.n * g.ho, 16)));  // and tasks for every thread
    rows = ceilDiv(g.ho, ceilDiv(g.ho, rows));
  }
  static bool serves(const Geometry& g) { return g.dw == 1 && g.groups == 1 && g.kh <= MOST_ROWS && g.wo >= 4; }
  // The kernel rows of output row oh that fall on the image, relative to its first line in the panel.
  INL long runs(const Geometry& g, long oh, Run* at) const {
    long count = 0;
    for (long i = 0; i < g.kh; i++) {
      const long h = oh * g.sh - g.top + i * g.dh;
      if (h >= 0 && h < g.h) at[count++] = {static_cast<int32_t>(i * g.dh * width), static_cast<int32_t>(i * run)};
    }
    return count;
  }
  INL long perImage(const Geometry& g) const { return ceilDiv(g.ho, rows); }
  INL long size(const Geometry& g) const { return ((rows - 1) * g.sh + g.dh * (g.kh - 1) + 1) * width + W; }
  template <int KIND>
  void fillKind(const Geometry& g, const Operands& src, long n, long h, long lines, float* d, float* d2) const {
    const long before = minl(g.left * g.c, width);
    const long inside = minl(g.w * g.c, width - before), after = width - before - inside;
    for (long i = 0; i < lines; i++, h++, d += width, d2 += width) {
      if (h < 0 || h >= g.h) continue;  // no run reads it
      zeroRun<KIND>(d, d2, before);
      copyRun<KIND>(src, (n * g.h + h) * g.w * g.c, d + before, d2 + before, inside);
      zeroRun<KIND>(d + before + inside, d2 + before + inside, after);
    }
  }
  // The image rows under the kernel rows [i0, i1) of output rows oh .. oh + count.
  void fill(const Geometry& g, const Operands& src, long n, long oh, long count, long i0, long i1, float* d,
            float* d2) const {
    const long h = oh * g.sh - g.top + i0 * g.dh, lines = (count - 1) * g.sh + g.dh * (i1 - i0 - 1) + 1;
    withKind(src, g.encoding, [&](auto K) { fillKind<K.value>(g, src, n, h, lines, d, d2); });
  }
};

}  // namespace ISA
}  // namespace bayes
