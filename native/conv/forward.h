// The forward pass of a convolution, and the data gradient of a transposed one: out[pixel][k] = the sum over taps of
// x[pixel's taps] * w[tap][k], in the form that was chosen, and then the epilogue.
#pragma once
#include "choose.h"
#include "channelLanes/product.h"
#include "imageLanes/product.h"
#include "imagePanels/product.h"
#include "rows/product.h"
#include "stripes/product.h"

namespace bayes {
namespace ISA {

template <class E>
static void forward(const Choice& c, const Geometry& g, const Operands& x, const Weights& w, const E& epilogue,
                    Bump& b) {
  const long routes = x.routes();
  switch (c.form) {
    case CHANNEL_LANES:
      return runProduct(ChannelLaneProduct(g, false, routes), b, x, w, epilogue);
    case IMAGE_LANES:
      return runProduct(ImageLaneProduct(g, false, routes, {g, c.plan, c.winograd > 0}), b, x, w, epilogue);
    case STRIPES:
      return runProduct(StripeProduct(g, false, routes, w), b, x, w, epilogue);
    case IMAGE_PANELS:
      return runProduct(ImagePanelProduct(g.pixelwise(), false, routes, {g, c.plan, c.winograd}, c.encoding), b, x, w,
                        epilogue);
    case ROWS:
    case IM2COL:
      return runProduct(RowProduct(g, c.form == ROWS, routes, {g, c.plan, c.winograd}), b, x, w, epilogue);
  }
}

}  // namespace ISA
}  // namespace bayes
