// What the ops of the convolution family put around the products: operands, epilogues, the max pooling behind a layer,
// bias gradients, and sums over Monte-Carlo samples. Each op is a function (step, scratch) -> bytes of scratch that
// only counts when scratch is null, and one that says what it does; GRADIENT registers both. That of a forward pass
// (LAYER, of so many routes) is told where its packed weights go as well. A transposed layer has the same products with
// image and map exchanged.
#pragma once
#include "contract.h"
#include "dataGradient.h"
#include "forward.h"
#include "weightGradient.h"

namespace bayes {
namespace ISA {

#define GRADIENT(NAME, FUNCTION, ...)            \
  OP(NAME) { FUNCTION(s, s.scratch); }           \
  SCRATCH(NAME) { return FUNCTION(s, nullptr); } \
  ALGORITHM_OF(NAME) { return __VA_ARGS__(s, to, room); }
#define LAYER(NAME, FUNCTION, ROUTES, ...)                  \
  OP(NAME) { inScratch(s, s.scratch, FUNCTION); }           \
  SCRATCH(NAME) { return inScratch(s, nullptr, FUNCTION); } \
  WEIGHTS(NAME, ROUTES) {                                   \
    Bump kept(nullptr);                                     \
    FUNCTION(s, nullptr, &kept);                            \
    return kept.used;                                       \
  }                                                         \
  ALGORITHM_OF(NAME) { return __VA_ARGS__(s, to, room); }

// Packed weights stay where packing is more than some per cent of the product: where few pixels use them. Else they
// would take memory for nothing.
INL Weights weightsOf(const Step& s, const Geometry& g, const Tensor* w2, Bump* kept) {
  return {s.in[1].f32(), w2 ? w2->f32() : nullptr, g.pixels <= 4096 ? kept : nullptr, s.packed};
}
// A forward pass whose packed weights lie in their own memory, if they have it, else in scratch memory too.
INL size_t inScratch(const Step& s, void* scratch, size_t (*forward)(const Step&, void*, Bump*)) {
  Bump kept(s.weights);
  return forward(s, scratch, s.weights ? &kept : nullptr);
}

INL float* orNull(const Tensor& t) { return t ? t.f32() : nullptr; }

// What a gradient reads of dL/dy: dy and r, and y where an activation follows the layer. Pooled, all are, and the
// last input says where.
INL Operands gradientOf(const Step& s, const float* dy, const float* r, OperandKind kind, int y) {
  const Activate f(s);
  return {dy, r, kind, f.kind, f.slope, f.kind == IDENTITY ? nullptr : s.in[y].f32()};
}

// What a forward pass writes: its outputs, or where they are pooled after the product, the map in scratch memory.
struct Results {
  float *y, *r;
  Activate activate;
  WindowPool pool;
  Results(const Step& s, const Geometry& g, bool bayesian, const Choice& c, Bump& b)
      : y(orNull(s.out[0])), r(bayesian ? orNull(s.out[1]) : nullptr), activate(s) {
    if (!g.windows.use()) return;
    const Tensor& where = s.out[bayesian ? 2 : 1];
    static_cast<PoolWindows&>(pool) = g.windows;
    pool.y = y, pool.r = r, pool.where = where ? where.u8() : nullptr, pool.activate = activate;
    if (c.poolsInLanes) return;
    const long size = s.out[0].dims[0] * g.ho * g.wo * g.k + W;
    y = b.floats(size), activate = Activate();
    if (bayesian && s.out[1]) r = b.floats(size);
  }
};

// With several samples drawn from one set of moments, g = dz and h = dz * r are summed over them first.
struct SampleSums {
  long size, copies;
  float *g, *h;  // [size]
  SampleSums(long elements, long n, Bump& b)
      : size(elements), copies(n), g(n > 1 ? b.floats(elements) : nullptr), h(n > 1 ? b.floats(elements) : nullptr) {}
  Operands run(const Operands& map) const {
    if (copies == 1) return map;
    parallelRange(size, 4096, [&](long from, long to) {
      withKind(map, [&](auto K) {
        for (long i = from; i < to; i += W) {
          vf a{}, b{};
          for (long s = 0; s < copies; s++) {
            vf v, vr;
            elements<K.value>(map, s * size + i, to - i, v, vr);
            a = a + v, b = b + vr;
          }
          storen(g + i, a, to - i), storen(h + i, b, to - i);
        }
      });
    });
    return {g, h, BOTH};
  }
};

// Whether any gradient but that of x is read. (Not of the pointers: when the plan is made, results have none.)
INL bool weightsWanted(const Step& s) {
  bool wanted = false;
  for (int i = 1; i < s.nout; i++) wanted |= static_cast<bool>(s.out[i]);
  return wanted;
}
// Whether a pooled gradient is put back by the form of the weight gradient itself: where nobody else reads it.
INL bool unpoolsInLanes(const Step& s, const Geometry& g, const Choice& weights) {
  return weights.poolsInLanes && !s.out[0] && s.in[0].dims[0] == g.n;
}
// What f(bump) takes of the scratch memory behind `shared`.
template <class F>
INL size_t behind(Bump shared, F f) {
  f(shared);
  return shared.used;
}
INL size_t larger(size_t a, size_t b) { return a > b ? a : b; }

// The gradients of a layer, one after the other in the same scratch memory.
template <class E>
INL size_t gradients(const Step& s, const Geometry& g, const Operands& dz, const Operands& x, const float* w1,
                     const float* w2, const E& epilogue, const Gradients& to, void* scratch) {
  const long routes = x.routes(), rows = s.in[0].dims[0];
  const uint8_t* where = g.windows.use() ? s.in[s.nin - 1].u8() : nullptr;
  const Choice weights = choose(WEIGHTS, g, routes, true);
  Bump shared(scratch);
  if (unpoolsInLanes(s, g, weights)) {
    if (weightsWanted(s)) weightGradient(weights, g, x, dz, where, to, shared);
    return shared.used;
  }
  const Unpool unpool(g.windows, rows, routes > 1, shared);
  const SampleSums samples(g.pixels * g.k, rows / g.n, shared);
  const Operands map = scratch ? samples.run(unpool.run(dz, where)) : dz;
  size_t most = shared.used;
  if (s.out[0])
    most = behind(shared, [&](Bump& b) { dataGradient(choose(DATA, g, routes, true), g, map, {w1, w2}, epilogue, b); });
  if (weightsWanted(s))
    most = larger(most, behind(shared, [&](Bump& b) { weightGradient(weights, g, x, map, nullptr, to, b); }));
  return most;
}

// ---- conv2d and linear: x, w, [b] -> y, [where]
static inline Geometry plainGeometry(const Step& s) { return {s, s.in[0], s.in[1], s.out[0]}; }
static inline size_t plainForward(const Step& s, void* scratch, Bump* kept) {
  const Geometry g = plainGeometry(s);
  const Choice c = choose(FORWARD, g, 1, false);
  Bump bump(scratch);
  const Results to(s, g, false, c, bump);
  const float* bias = s.attr("bias") ? s.in[2].f32() : nullptr;
  forward(c, g, {s.in[0].f32(), nullptr, ONE}, weightsOf(s, g, nullptr, kept),
          BiasEpilogue{to.y, bias, g.k, to.activate, to.pool}, bump);
  return bump.used;
}

// dy, x, w, [y], [where] -> dx, dw, [db]
static inline Geometry plainGradientGeometry(const Step& s) { return {s, s.in[1], s.in[2], s.in[0]}; }
static inline size_t plainBackward(const Step& s, void* scratch) {
  const Geometry g = plainGradientGeometry(s);
  return gradients(s, g, gradientOf(s, s.in[0].f32(), nullptr, ONE, 3), {s.in[1].f32(), nullptr, ONE}, s.in[2].f32(),
                   nullptr, BiasEpilogue{s.out[0].f32(), nullptr, g.c},
                   {orNull(s.out[1]), nullptr, s.nout > 2 ? orNull(s.out[2]) : nullptr, nullptr}, scratch);
}

// ---- bayesConv2d and bayesLinear: x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r, [where]
INL LrtEpilogue lrtEpilogue(const Step& s, const Results& to, long k, long area, long images) {
  const int bias = static_cast<int>(s.attr("bias"));
  return {to.y,
          to.r,
          bias > 0 ? s.in[3].f32() : nullptr,
          bias > 1 ? s.in[4].f32() : nullptr,
          NoiseSource(s, 3 + bias),
          k,
          area,
          images,
          s.out[0].dims[0] / images,
          to.activate,
          to.pool};
}
static inline size_t bayesForward(const Step& s, void* scratch, Bump* kept) {
  const Geometry g = plainGeometry(s);
  const Choice c = choose(FORWARD, g, 2, false);
  Bump bump(scratch);
  const Results to(s, g, true, c, bump);
  forward(c, g, {s.in[0].f32(), s.in[0].f32(), SQUARE}, weightsOf(s, g, s.in + 2, kept),
          lrtEpilogue(s, to, g.k, g.ho * g.wo, g.n), bump);
  return bump.used;
}

// dy, r, x, mu, sigma2, [y], [where] -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
static inline Geometry bayesGradientGeometry(const Step& s) { return {s, s.in[2], s.in[3], s.in[0]}; }
INL Gradients bayesGradients(const Step& s) {
  return {orNull(s.out[1]), orNull(s.out[2]), s.nout > 3 ? orNull(s.out[3]) : nullptr,
          s.nout > 4 ? orNull(s.out[4]) : nullptr};
}
static inline size_t bayesBackward(const Step& s, void* scratch) {
  const Geometry g = bayesGradientGeometry(s);
  const float* x = s.in[2].f32();
  return gradients(s, g, gradientOf(s, s.in[0].f32(), s.in[1].f32(), PRODUCT, 5), {x, x, SQUARE}, s.in[3].f32(),
                   s.in[4].f32(), SquareEpilogue{s.out[0].f32(), x, g.c}, bayesGradients(s), scratch);
}

// ---- Transposed: the forward pass is a data gradient, and its data gradient a forward pass; `image` is dL/dy.
template <class E>
INL size_t transposedGradients(const Step& s, const Geometry& g, const Operands& image, const Operands& x,
                               const float* w1, const float* w2, const E& epilogue, const Gradients& to, Bump shared) {
  const long routes = x.routes();
  const int biases = static_cast<int>(routes) + 1;  // the outputs before those of the biases
  size_t most = shared.used;
  if (s.out[0])
    most = behind(shared, [&](Bump& b) { forward(choose(FORWARD, g, routes, true), g, image, {w1, w2}, epilogue, b); });
  bool wanted = false;
  for (int i = 1; i < biases; i++) wanted |= static_cast<bool>(s.out[i]);
  if (wanted)
    most = larger(
        most, behind(shared, [&](Bump& b) {
          weightGradient(choose(WEIGHTS, g, routes, true), g, image, x, nullptr, {to.dw1, to.dw2, nullptr, nullptr}, b);
        }));
  if (s.nout > biases)
    most = larger(most, behind(shared, [&](Bump& b) {
                    const ColumnSums sums(g.n * g.h * g.w, g.c, g.encoding, b);
                    if (b.base) sums.run(image, to.db1, to.db2);
                  }));
  return most;
}

// ---- What a step does, in words: of layers whose geometry OF gives, with ROUTES routes
typedef Geometry GeometryOf(const Step& s);
template <GeometryOf OF, Pass PASS, long ROUTES>
static const char* forwardAlgorithm(const Step& s, char* to, size_t room) {
  Text text{to, room};
  describe(text, PASS, choose(PASS, OF(s), ROUTES, false), ROUTES);
  return to;
}
// PASS: that of the gradient of x.
template <GeometryOf OF, Pass PASS, long ROUTES>
static const char* gradientAlgorithm(const Step& s, char* to, size_t room) {
  const Geometry g = OF(s);
  Text text{to, room};
  if (s.out[0]) text.add("data "), describe(text, PASS, choose(PASS, g, ROUTES, true), ROUTES);
  if (!weightsWanted(s)) return to;
  Choice weights = choose(WEIGHTS, g, ROUTES, true);
  weights.poolsInLanes = PASS == DATA && unpoolsInLanes(s, g, weights);
  text.add(s.out[0] ? "; weights " : "weights "), describe(text, WEIGHTS, weights, ROUTES);
  return to;
}

}  // namespace ISA
}  // namespace bayes
