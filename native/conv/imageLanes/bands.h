// How a product with the images in the lanes (product.h) is cut into tasks: bands of rows of so many images as there
// are lanes, whose panels and outputs fit the cache.
#pragma once
#include "../parts/geometry.h"

namespace bayes {
namespace ISA {

struct LaneBands {
  static constexpr long BUDGET = 98304;       // floats of a task: panels and outputs
  static constexpr long MOST_LANE_ROWS = 64;  // of the kernel, and of a pooling window
  Axis vertical, horizontal;
  long n, ci, co, routes;
  PoolWindows pool;  // of 1x1 where nothing is pooled
  long unit;         // rows of whole windows and whole patches
  long line, outLine, height, rows, bands, groups;

  // `tall`: the rows of a patch where the first route is Winograd's.
  LaneBands(const Geometry& g, bool transposed, long routeCount, long tall)
      : vertical(g.vertical(transposed)), horizontal(g.horizontal(transposed)), n(g.n), routes(routeCount) {
    ci = transposed ? g.k : g.c, co = transposed ? g.c : g.k;
    line = horizontal.in * ci, outLine = horizontal.out * co;
    pool = {1, 1, vertical.out, horizontal.out, co};
    if (g.windows.use() && !transposed) pool = g.windows;
    unit = leastCommon(pool.kh, tall);
    groups = ceilDiv(n, LANES), height = pool.rows * pool.kh, rows = roundUp(height, unit);
    while (rows > unit && (size() > BUDGET || groups * ceilDiv(height, rows) < 8)) rows -= unit;
    bands = ceilDiv(height, rows), rows = roundUp(ceilDiv(height, bands), unit), bands = ceilDiv(height, rows);
  }
  static bool serves(const Geometry& g, bool transposed) {
    return g.groups == 1 && g.dw == 1 && !(transposed && g.sw > 1) && g.kh <= MOST_LANE_ROWS &&
           g.windows.kh <= MOST_LANE_ROWS;
  }
  INL long size() const { return (vertical.mostReached(rows) * line + rows * outLine) * LANES * routes; }
  // Whether a task fits the cache, and little of the image is packed by two of them.
  bool fits() const { return size() <= 2 * BUDGET && bands * vertical.mostReached(rows) <= 2 * vertical.in; }
};

}  // namespace ISA
}  // namespace bayes
