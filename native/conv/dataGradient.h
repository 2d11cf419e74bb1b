// The data gradient of a convolution, and the forward pass of a transposed one: dx[pixel][c] = the sum over taps of
// g[pixel'][k] * w[tap][k], the transpose of the forward pass, in the form that was chosen, and then the epilogue.
#pragma once
#include "choose.h"
#include "channelLanes/product.h"
#include "imageLanes/product.h"
#include "imagePanels/product.h"
#include "rows/col2im.h"
#include "stripes/product.h"

namespace bayes {
namespace ISA {

template <class E>
static void dataGradient(const Choice& c, const Geometry& g, const Operands& map, const Weights& w, const E& epilogue,
                         Bump& b) {
  const long routes = map.routes();
  switch (c.form) {
    case CHANNEL_LANES:
      return runProduct(ChannelLaneProduct(g, true, routes), b, map, w, epilogue);
    case IMAGE_LANES:
      return runProduct(ImageLaneProduct(g, true, routes, {g, c.plan, c.winograd > 0}), b, map, w, epilogue);
    case STRIPES:
      return runProduct(StripeProduct(g, true, routes, w), b, map, w, epilogue);
    case IMAGE_PANELS:
      return runProduct(ImagePanelProduct(g.pixelwise(), true, routes, {g, c.plan, c.winograd}, c.encoding), b, map, w,
                        epilogue);
    case ROWS:
    case IM2COL:
      return runProduct(Col2imProduct(g, routes), b, map, w, epilogue);
  }
}

}  // namespace ISA
}  // namespace bayes
