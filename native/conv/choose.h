// Which form of a convolution serves a layer: the only place that compares shapes to find out. There is one ordered
// table for each pass; the first form that can serve the layer and pays there is taken, and the last one serves
// everything. What is chosen depends on the instruction set and the layer's shapes, batch included, and never on
// threads or data. A plan tells it (OpEntry::algorithm), and BAYESCNN_CONV=<its name> takes another form wherever that
// can serve the layer, BAYESCNN_WINOGRAD=always|never another answer to whether Winograd's patches pay.
#pragma once
#include "channelLanes/panel.h"
#include "imageLanes/bands.h"
#include "imageLanes/weights.h"
#include "imagePanels/panel.h"
#include "rows/rowPanel.h"
#include "stripes/product.h"
#include "winograd/plan.h"

namespace bayes {
namespace ISA {

enum Pass { FORWARD, DATA, WEIGHTS };  // of a convolution. The forward pass of a transposed one is a DATA product
enum ConvForm { IMAGE_LANES, STRIPES, IMAGE_PANELS, CHANNEL_LANES, ROWS, IM2COL };

// What is asked, and what the answer depends on.
struct Question {
  Pass pass;
  const Geometry& g;
  long routes;  // 1: a plain layer; 2: mean and variance
  bool gradient;
  WinogradPlan plan;
  bool transposed;
  long ci, co;    // channels read and written
  long winograd;  // how many routes, from the first on, Winograd's patches would take
  Question(Pass which, const Geometry& geometry, long routeCount, bool ofGradient);
};

// ---- Winograd
// Multiply-adds of a plain product along one axis: the taps of all outputs that fall on the input.
INL long tapsInside(long in, long out, long taps, long pad) {
  long count = 0;
  for (long o = 0; o < out; o++)
    for (long i = 0; i < taps; i++) count += o - pad + i >= 0 && o - pad + i < in;
  return count;
}
constexpr long NARROW = 12;      // results a pixel of a gradient, up to which the lanes hold images,
constexpr long LANE_WIDTH = 16;  // and of a forward pass, or a gradient whose mean is Winograd's

// Whether patches cost less than plain sums, by multiply-adds and transforms of one image: not by the batch, so that a
// convolution's results do not depend on it.
static bool winogradPays(const Question& q) {
  const long ci = q.ci, co = q.co;
  const bool inLanes = q.pass != WEIGHTS && co > 4 && co <= LANE_WIDTH;
  if (ci < 5 || !(inLanes || co > NARROW)) return false;
  const WinogradAxis &v = q.plan.vertical, &h = q.plan.horizontal;
  const double taps =
      static_cast<double>(tapsInside(v.in, v.out, q.g.kh, v.pad)) * tapsInside(h.in, h.out, q.g.kw, h.pad);
  const double all = static_cast<double>(v.patches() * h.patches() * q.plan.points);
  // transforms and multiply-adds in multiply-adds of a vector of 8, as measured with AVX2
  const double vectors = 20.0 * (ceilDiv(ci, 8) + 0.6 * ceilDiv(co, 8));
  // a weight gradient's sums of the points, on their way to memory: of the batch, which a gradient may count
  const double sums =
      q.pass == WEIGHTS && q.plan.points * ci * co > (1L << 21) ? 5.0 * q.plan.points * ci * co / q.g.n : 0;
  if (co > NARROW && all * (1.15 * ci * co / 8 + vectors) + sums < 0.8 * taps * ci * co / 8) return true;
  // the same with whole vectors of images, if there are enough of them
  const double transforms = all * (8.0 * ci + 4.5 * co);
  return inLanes && 1.25 * all * ci * co + transforms < 0.8 * taps * ci * co;
}
// The routes that may be Winograd's. Its errors are relative to what else is in a patch. So a variance never is, whose
// sums of terms that are not negative have to stay so, nor is a plain layer that asks for exact sums; and the gradients
// through a variance, whose g r can be large where a variance is small, are only where their operands are rounded to
// bfloat16 anyhow and multiplied as floats.
static long winogradRoutes(const Question& q) {
  if (q.g.exact) return 0;
  const bool rounded = inPairs(q.g.encoding, PAIRS) == ROUNDED;
  return q.gradient && q.pass != FORWARD && rounded ? q.routes : 1;
}
static long winogradOf(const Question& q) {
  const char* wish = winogradWish();
  if (!q.plan.serves || !strcmp(wish, "never")) return 0;
  return *wish || winogradPays(q) ? winogradRoutes(q) : 0;
}

// ---- Forms
// Whether the images fill the lanes well enough.
static bool fillsLanes(long n) { return n * 4 >= ceilDiv(n, LANES) * LANES * 3; }
static LaneBands bandsOf(const Question& q) {
  return {q.g, q.transposed, q.routes, q.winograd ? q.plan.vertical.by->m : 1};
}
static bool lanesServe(const Question& q) { return LaneBands::serves(q.g, q.transposed); }
static bool lanesPay(const Question& q) {
  return q.co <= (q.transposed && !q.winograd ? NARROW : LANE_WIDTH) && fillsLanes(q.g.n) && bandsOf(q).fits();
}
static bool laneWeightsServe(const Question& q) { return ImageLaneWeights::serves(q.g); }
static bool laneWeightsPay(const Question& q) {
  return q.ci < 5 && q.co <= NARROW && fillsLanes(q.g.n) && q.g.depth * q.co <= 2048 &&
         ImageLaneWeights(q.g, q.routes).fits();
}
static bool stripesServe(const Question& q) { return StripeProduct::serves(q.g); }
static bool stripesPay(const Question& q) { return q.g.n <= 128 && inPairs(q.g.encoding, PAIRS) != PAIRS; }
static bool panelsServe(const Question& q) {
  return (q.g.groups == 1 || (q.g.cg % 4 == 0 && q.g.kg % 4 == 0)) && q.g.kh * q.g.kw <= MOST_PANEL_TAPS;
}
// A 1x1 convolution of some of the pixels: im2col copies those, panels and rows all.
static bool skipsPixels(const Question& q) {
  return q.g.kh * q.g.kw == 1 && q.g.sh * q.g.sw > 1 && q.g.groups == 1 && inPairs(q.g.encoding, PAIRS) != PAIRS;
}
static bool panelsPay(const Question& q) {
  const long least = q.transposed || q.g.groups > 1 ? 8 : 16;
  // of bfloat16 pairs the forms add in different orders: whether pooling follows the layer must not show
  const long images = q.g.encoding == FLOAT ? q.g.pixelwise().n : q.g.n;
  return images >= 4 && q.ci / q.g.groups >= least && q.co / q.g.groups >= 5 && !skipsPixels(q);
}
static bool channelsServe(const Question& q) { return LanePanel::serves(q.g, q.transposed, q.routes); }
// Few channels a group, each of which is spread over the lanes.
static bool channelsPay(const Question& q) { return q.g.groups > 1 && q.ci / q.g.groups <= 8; }
static bool rowsServe(const Question& q) { return RowPanel::serves(q.g); }
static bool rowsPay(const Question& q) {
  return !skipsPixels(q) && q.g.ho * q.g.wo >= 24 && RowPanel(q.g).size(q.g) <= (1 << 17) && q.g.depth <= 4096;
}
// A small map in front of large weights: blocks of several images, or the sums would travel to memory too often.
static bool rowWeightsPay(const Question& q) {
  return rowsPay(q) && (RowPanel(q.g).rows * q.g.wo >= 128 || q.g.depth * padded(q.g.kg) <= 32768);
}
static bool panelWeightsPay(const Question& q) {
  if (q.g.groups > 1) return q.ci / q.g.groups >= 8;
  if (skipsPixels(q) || q.ci < 5) return false;
  // few channels of a plain layer: rows pack less
  return q.ci > 16 || q.routes > 1 || q.winograd || q.g.encoding != FLOAT || !rowsServe(q) || !rowWeightsPay(q);
}
static bool always(const Question&) { return true; }

struct Candidate {
  ConvForm form;
  bool (*serves)(const Question& q);  // that it gives the right sums
  bool (*pays)(const Question& q);    // that it is the fastest of those from here on
};
static const Candidate FORWARD_FORMS[] = {{IMAGE_LANES, lanesServe, lanesPay},
                                          {STRIPES, stripesServe, stripesPay},
                                          {IMAGE_PANELS, panelsServe, panelsPay},
                                          {CHANNEL_LANES, channelsServe, channelsPay},
                                          {ROWS, rowsServe, rowsPay},
                                          {IM2COL, always, always}};
static const Candidate DATA_FORMS[] = {{IMAGE_LANES, lanesServe, lanesPay},
                                       {STRIPES, stripesServe, stripesPay},
                                       {IMAGE_PANELS, panelsServe, panelsPay},
                                       {CHANNEL_LANES, channelsServe, channelsPay},
                                       {IM2COL, always, always}};  // col2im
static const Candidate WEIGHT_FORMS[] = {{IMAGE_LANES, laneWeightsServe, laneWeightsPay},
                                         {IMAGE_PANELS, panelsServe, panelWeightsPay},
                                         {CHANNEL_LANES, channelsServe, channelsPay},
                                         {ROWS, rowsServe, rowWeightsPay},
                                         {IM2COL, always, always}};
static const char* nameOf(ConvForm form, Pass pass) {
  static const char* const names[] = {"imageLanes", "stripes", "imagePanels", "channelLanes", "rows", "im2col"};
  return form == IM2COL && pass == DATA ? "col2im" : names[form];
}

INL Question::Question(Pass which, const Geometry& geometry, long routeCount, bool ofGradient)
    : pass(which),
      g(geometry),
      routes(routeCount),
      gradient(ofGradient),
      plan(geometry, which == DATA),
      transposed(which == DATA),
      ci(plan.ci),
      co(plan.co) {
  winograd = winogradOf(*this);
}

// ---- The answer
struct Choice {
  ConvForm form;
  WinogradPlan plan;
  long winograd;      // routes, from the first on, that are Winograd's
  Encoding encoding;  // of the operands of the others
  bool poolsInLanes;  // the max pooling behind the layer is part of the product, or its gradient put back in it
  bool refused;       // BAYESCNN_CONV asked for a form that cannot serve the layer
};

static ConvForm formOf(const Question& q, bool& refused) {
  const Candidate* table = q.pass == FORWARD ? FORWARD_FORMS : q.pass == DATA ? DATA_FORMS : WEIGHT_FORMS;
  const char* wish = convWish();
  for (const Candidate* c = table; *wish; c++) {
    if (!strcmp(wish, nameOf(c->form, FORWARD)) && c->serves(q)) return c->form;
    if (c->form == IM2COL) break;
  }
  refused = *wish;
  while (!(table->serves(q) && table->pays(q))) table++;
  return table->form;
}
// `gradient`: of a training step's backward pass; else the forward pass of a layer.
static Choice choose(Pass pass, const Geometry& g, long routes, bool gradient) {
  const Question q(pass, g, routes, gradient);
  bool refused = false;
  const ConvForm form = formOf(q, refused);
  // image lanes and rows have Winograd for the mean, the others not at all
  const bool first = pass == FORWARD ? form != CHANNEL_LANES : pass == DATA && form == IMAGE_LANES;
  const long most = form == IMAGE_PANELS ? 2 : first;
  const Encoding words = pass == WEIGHTS ? PAIRS_OF_RUNS : PAIRS;
  const bool pools = form == IMAGE_LANES && g.windows.use() && (pass == WEIGHTS || routes > 1);
  return {form,  q.plan, minl(q.winograd, most), form == IMAGE_PANELS ? inPairs(g.encoding, words) : g.encoding,
          pools, refused};
}

// A sentence that grows, in memory of its own length.
struct Text {
  char* at;
  size_t room;
  INL void add(const char* words) {
    const size_t n = strlen(words);
    if (n >= room) return;
    memcpy(at, words, n + 1), at += n, room -= n;
  }
};
// "mean winograd/imagePanels, variance imagePanels, bf16 rounded": each route's form, the one that Winograd's patches
// come from behind the stroke.
static void describe(Text& text, Pass pass, const Choice& c, long routes) {
  const char* name = nameOf(c.form, pass);
  const auto route = [&](bool winograd) {
    if (winograd) text.add(pass == WEIGHTS ? "winograd" : "winograd/");
    if (!winograd || pass != WEIGHTS) text.add(name);
  };
  if (c.winograd > 0 && c.winograd < routes) text.add("mean "), route(true), text.add(", variance ");
  route(c.winograd >= routes);
  if (c.encoding != FLOAT) text.add(c.encoding == ROUNDED ? ", bf16 rounded" : ", bf16 pairs");
  if (c.poolsInLanes) text.add(", pooled in lanes");
  if (c.refused) text.add(" (BAYESCNN_CONV cannot serve it)");
}

}  // namespace ISA
}  // namespace bayes
