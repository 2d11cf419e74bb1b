// The ops of the convolution family: what each reads, multiplies and writes. Each is a function (step, card, launch) ->
// bytes of scratch memory, which only counts where there is no launch; LAYER registers both. A transposed layer has the
// same products with image and map exchanged.
#pragma once
#include "choose.h"

namespace bayes {
namespace cuda {

#define LAYER(NAME, FUNCTION)                                                                                     \
  OP(NAME, "stride padding dilation groups outputPadding bias precision exact activation slope samples stream") { \
    FUNCTION(s, l.card, &l);                                                                                      \
  }                                                                                                               \
  SCRATCH(NAME) { return FUNCTION(s, card, nullptr); }

inline float* orNull(const Tensor& t) { return t ? t.f32() : nullptr; }

// Gradients of weights and of the biases of a map; dw1, dw2 null: of biases alone.
struct Gradients {
  float *dw1, *dw2, *db1, *db2;
  bool weights, biases;  // whether any of them is wanted
};
// Of the outputs from 1 on: those of the weights of each route, and of as many biases.
inline Gradients gradientsOf(const Step& s, int routes) {
  const auto of = [&](int i) { return i < s.nout ? orNull(s.out[i]) : nullptr; };
  const auto wanted = [&](int from) {
    bool any = false;
    for (int i = from; i < from + routes && i < s.nout; i++) any |= static_cast<bool>(s.out[i]);
    return any;
  };
  if (routes == 1) return {of(1), nullptr, of(2), nullptr, wanted(1), wanted(2)};
  return {of(1), of(2), of(3), of(4), wanted(1), wanted(3)};
}
template <Kind A, Kind B>
void weightGradients(Room& room, const Step& s, const Geometry& g, const Operands& image, const Operands& map,
                     const Gradients& to, bool biases) {
  if (!to.weights && !biases) return;
  const int rows = to.weights ? toInt(g.taps() * g.cg) : 0;
  const WeightShape shape = weightShape(g, image, map, rows, biases);
  const WeightEpilogue epilogue{to.dw1, to.dw2, to.db1, to.db2, rows, toInt(g.k)};
  weightProduct<A, B>(room, precisionOf(s), shape, g.groups, epilogue);
}
// g = dL/dz and h = g r of a map of `size` values, summed over the samples that were drawn from one set of moments.
inline Operands summed(Room& room, const Operands& o, long size, long copies) {
  float* const g = room.floats(size);
  float* const h = room.floats(size);
  if (room.launch) {
    const dim3 blocks(static_cast<unsigned>(size < 4096 * 256 ? ceilDiv(size, 256) : 4096));
    launch(operandSums, blocks, dim3(256), 0, room.launch->stream, o, size, toInt(copies), g, h);
  }
  return pairOf(g, h);
}
// A float32 prediction does not depend on how it is cut into launches: its sums have one order, whatever the batch.
inline bool mayCut(const Step& s) { return precisionOf(s) != FP32; }

// ---- conv2d and linear: x, w, [b] -> y
static size_t plainForward(const Step& s, const Card&, const Launch* l) {
  const Geometry g(s, s.in[0], s.in[1], s.out[0]);
  Room room(s, l);
  const BiasEpilogue epilogue{s.out[0].f32(), s.attr("bias") ? s.in[2].f32() : nullptr, toInt(g.k), Activate(s)};
  product<ONE, BY_DEPTH>(room, precisionOf(s), toMap(g, one(s.in[0].f32()), one(s.in[1].f32())), g.groups, mayCut(s),
                         epilogue);
  return room.used;
}
// dy, x, w, [y] -> dx, dw, [db]
static size_t plainBackward(const Step& s, const Card&, const Launch* l) {
  const Geometry g(s, s.in[1], s.in[2], s.in[0]);
  Room room(s, l);
  const Activate f(s);
  const Operands map = one(s.in[0].f32(), f, f.kind == IDENTITY ? nullptr : s.in[3].f32());
  if (s.out[0])
    product<ONE, BY_ROW>(room, precisionOf(s), toImage(g, map, one(s.in[2].f32())), g.groups, true,
                         BiasEpilogue{s.out[0].f32(), nullptr, toInt(g.c), Activate()});
  const Gradients to = gradientsOf(s, 1);
  weightGradients<ONE, ONE>(room, s, g, one(s.in[1].f32()), map, to, to.biases);
  return room.used;
}

// ---- bayesConv2d and bayesLinear: x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r
inline LrtEpilogue lrtEpilogue(const Step& s, long channels, long area, long images) {
  const int bias = static_cast<int>(s.attr("bias"));
  const Tensor &rng = s.in[3 + bias], &rows = s.in[4 + bias];
  return {orNull(s.out[0]),
          orNull(s.out[1]),
          bias > 0 ? s.in[3].f32() : nullptr,
          bias > 1 ? s.in[4].f32() : nullptr,
          rng.i32(),
          rows.i32(),
          static_cast<uint32_t>(s.attr("stream")),
          toInt(channels),
          toInt(images),
          toInt(s.out[0].dim(0) / images),
          Divisor(area),
          Divisor(rows.dim(0)),
          Activate(s)};
}
static size_t bayesForward(const Step& s, const Card&, const Launch* l) {
  const Geometry g(s, s.in[0], s.in[1], s.out[0]);
  Room room(s, l);
  product<SQUARE, BY_DEPTH>(room, precisionOf(s),
                            toMap(g, squared(s.in[0].f32()), pairOf(s.in[1].f32(), s.in[2].f32())), g.groups, mayCut(s),
                            lrtEpilogue(s, g.k, g.ho * g.wo, g.n));
  return room.used;
}
// dy, r, x, mu, sigma2, [y] -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
static size_t bayesBackward(const Step& s, const Card& card, const Launch* l) {
  const Geometry g(s, s.in[2], s.in[3], s.in[0]);
  Room room(s, l);
  const Activate f(s);
  const float* const x = s.in[2].f32();
  Operands map{s.in[0].f32(), s.in[1].f32(), f.kind == IDENTITY ? nullptr : s.in[5].f32(), PAIR, true, f};
  const long copies = s.in[0].dim(0) / g.n;
  if (copies > 1 || !fits(card, precisionOf(s), g.cg, map)) map = summed(room, map, g.pixels() * g.k, copies);
  if (s.out[0])
    product<PAIR, BY_ROW>(room, precisionOf(s), toImage(g, map, pairOf(s.in[3].f32(), s.in[4].f32())), g.groups, true,
                          SquareEpilogue{s.out[0].f32(), x, toInt(g.c)});
  const Gradients to = gradientsOf(s, 2);
  weightGradients<SQUARE, PAIR>(room, s, g, squared(x), map, to, to.biases);
  return room.used;
}

// ---- Transposed: the forward pass is a data gradient, and its data gradient a forward pass. The biases belong to the
// image: their gradients are sums over a map of its size.
inline Geometry imageAsMap(const Geometry& g) {
  Geometry of = g;
  of.h = of.ho = g.h, of.w = of.wo = g.w, of.c = of.k = g.c;
  of.kh = of.kw = of.sh = of.sw = of.dh = of.dw = of.groups = 1, of.top = of.left = 0, of.cg = of.kg = g.c;
  return of;
}
// x, w [kh, kw, K / groups, C], [b] -> y
static size_t transposedForward(const Step& s, const Card&, const Launch* l) {
  const Geometry g(s, s.out[0], s.in[1], s.in[0]);
  Room room(s, l);
  const BiasEpilogue epilogue{s.out[0].f32(), s.attr("bias") ? s.in[2].f32() : nullptr, toInt(g.c), Activate()};
  product<ONE, BY_ROW>(room, precisionOf(s), toImage(g, one(s.in[0].f32()), one(s.in[1].f32())), g.groups, mayCut(s),
                       epilogue);
  return room.used;
}
// dy, x, w -> dx, dw, [db]
static size_t transposedBackward(const Step& s, const Card&, const Launch* l) {
  const Geometry g(s, s.in[0], s.in[2], s.in[1]);
  Room room(s, l);
  const Operands image = one(s.in[0].f32()), map = one(s.in[1].f32());
  if (s.out[0])
    product<ONE, BY_DEPTH>(room, precisionOf(s), toMap(g, image, one(s.in[2].f32())), g.groups, true,
                           BiasEpilogue{s.out[0].f32(), nullptr, toInt(g.k), Activate()});
  Gradients to = gradientsOf(s, 1);
  weightGradients<ONE, ONE>(room, s, g, image, map, to, false);
  to.weights = false;
  weightGradients<ONE, ONE>(room, s, imageAsMap(g), image, image, to, to.biases);
  return room.used;
}
// x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r
static size_t bayesTransposedForward(const Step& s, const Card&, const Launch* l) {
  const Geometry g(s, s.out[0], s.in[1], s.in[0]);
  Room room(s, l);
  product<SQUARE, BY_ROW>(room, precisionOf(s),
                          toImage(g, squared(s.in[0].f32()), pairOf(s.in[1].f32(), s.in[2].f32())), g.groups, mayCut(s),
                          lrtEpilogue(s, g.c, g.h * g.w, g.n));
  return room.used;
}
// dy, r, x, mu, sigma2 -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
static size_t bayesTransposedBackward(const Step& s, const Card&, const Launch* l) {
  const Geometry g(s, s.in[0], s.in[3], s.in[2]);
  Room room(s, l);
  const float* const x = s.in[2].f32();
  const Operands dy{s.in[0].f32(), s.in[1].f32(), nullptr, PAIR, true, Activate()};
  const Operands image = summed(room, dy, g.imagePixels() * g.c, s.in[0].dim(0) / g.n);
  if (s.out[0])
    product<PAIR, BY_DEPTH>(room, precisionOf(s), toMap(g, image, pairOf(s.in[3].f32(), s.in[4].f32())), g.groups, true,
                            SquareEpilogue{s.out[0].f32(), x, toInt(g.k)});
  Gradients to = gradientsOf(s, 2);
  weightGradients<PAIR, SQUARE>(room, s, g, image, squared(x), to, false);
  to.weights = false;
  weightGradients<SQUARE, PAIR>(room, s, imageAsMap(g), squared(x), image, to, to.biases);
  return room.used;
}

}  // namespace cuda
}  // namespace bayes
