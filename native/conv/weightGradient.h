// Both weight gradients of a convolution, dw[tap][c][k] = the sum over pixels of x[pixel's taps] * g[pixel][k], and the
// sums over the map, which are the gradients of the biases; null where nobody reads it. In the form that was chosen;
// Winograd's takes whole routes.
#pragma once
#include "choose.h"
#include "channelLanes/weights.h"
#include "imageLanes/weights.h"
#include "imagePanels/weights.h"
#include "rows/weights.h"
#include "winograd/weights.h"

namespace bayes {
namespace ISA {

struct Gradients {   // of mean and variance
  float *dw1, *dw2;  // [kh][kw][c / groups][k]
  float *db1, *db2;  // [k]
};

// `where`: the map is pooled (imageLanes only), and the pixel that each value of it came from.
static void weightGradient(const Choice& c, const Geometry& g, const Operands& x, const Operands& map,
                           const uint8_t* where, const Gradients& to, Bump& b) {
  const long routes = x.routes();
  if (c.form == CHANNEL_LANES) {
    ChannelLaneWeights channels(g, routes);
    channels.take(b);
    if (b.base) channels.run(x, map, to.dw1, to.dw2, to.db1, to.db2);
  } else if (c.form == IMAGE_LANES) {
    ImageLaneWeights lanes(g, routes);
    lanes.take(b);
    if (b.base) lanes.run(x, map, where, to.dw1, to.dw2, to.db1, to.db2);
  } else if (c.form == IMAGE_PANELS) {
    WinogradWeights winograd(g, c.plan, c.winograd);
    ImagePanelWeights panels(g.pixelwise(), routes, c.encoding);
    winograd.take(b);
    if (routes > c.winograd) panels.take(b);
    if (!b.base) return;
    winograd.run(x, map, to.dw1, to.dw2, to.db1, to.db2);
    if (routes > c.winograd) panels.run(x, map, to.dw1, to.dw2, to.db1, to.db2, c.winograd);
  } else {
    RowWeights rows(g, c.form == ROWS, routes);
    rows.take(b);
    if (b.base) rows.run(x, map, to.dw1, to.dw2, to.db1, to.db2);
  }
}

}  // namespace ISA
}  // namespace bayes
