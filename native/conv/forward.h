// The forward pass of a convolution, and the data gradient of a transposed one: out[pixel][k] = the sum over taps of
// x[pixel's taps] * w[tap][k], in the form that was chosen, and then the epilogue.
#pragma once
#include "choose.h"
#include "channelLanes/product.h"
#include "imageLanes/product.h"
#include "imagePanels/product.h"
#include "rows/product.h"

namespace bayes {
namespace ISA {

// Takes scratch memory, and runs unless that is only counted.
template <class P, class E>
INL void runProduct(P product, Bump& b, const Operands& x, const float* w1, const float* w2, const E& epilogue) {
  product.take(b);
  if (b.base) product.run(x, w1, w2, epilogue);
}

template <class E>
static void forward(const Choice& c, const Geometry& g, const Operands& x, const float* w1, const float* w2,
                    const E& epilogue, Bump& b) {
  const long routes = x.routes();
  switch (c.form) {
    case CHANNEL_LANES:
      return runProduct(ChannelLaneProduct(g, false, routes), b, x, w1, w2, epilogue);
    case IMAGE_LANES:
      return runProduct(ImageLaneProduct(g, false, routes, {g, c.plan, c.winograd > 0}), b, x, w1, w2, epilogue);
    case IMAGE_PANELS:
      return runProduct(ImagePanelProduct(g, false, routes, {g, c.plan, c.winograd}, c.encoding), b, x, w1, w2,
                        epilogue);
    case ROWS:
    case IM2COL:
      return runProduct(RowProduct(g, c.form == ROWS, routes, {g, c.plan, c.winograd}), b, x, w1, w2, epilogue);
  }
}

}  // namespace ISA
}  // namespace bayes
