// What the ops of the convolution family put around the three products of conv.h: epilogues, the max pooling behind a
// layer, bias gradients, and sums over Monte-Carlo samples. Each op is a function (step, scratch) -> bytes of scratch
// that only counts when scratch is null; LAYER registers it as kernel and as scratch query.
#pragma once
#include "conv.h"
#include "parts/epilogue.h"
#include "contract.h"

namespace bayes {
namespace ISA {

#define LAYER(NAME, FUNCTION)          \
  OP(NAME) { FUNCTION(s, s.scratch); } \
  SCRATCH(NAME) { return FUNCTION(s, nullptr); }

INL float* orNull(const Tensor& t) { return t ? t.f32() : nullptr; }

// What a gradient reads of the map: dy and r, and y where an activation follows the layer. Pooled, all are, and the
// last input says where.
INL Pair mapOf(const Step& s, int y, const float* dy, const float* r) {
  const Activate f(s);
  return {dy, r, r ? PRODUCT : ONE, f.kind, f.slope, f.kind == IDENTITY ? nullptr : s.in[y].f32()};
}
INL const uint8_t* winnersOf(const Step& s, const Geometry& g) {
  return g.tiles.use() ? s.in[s.nin - 1].u8() : nullptr;
}

// What a forward pass writes: its outputs, or where they are pooled after the product, the map in scratch memory.
struct Results {
  float *y, *r;
  Activate activate;
  TilePool pool;
  // `apart`: the product does not pool itself.
  Results(const Step& s, const Geometry& g, bool bayesian, bool apart, Bump& b)
      : y(orNull(s.out[0])), r(bayesian ? orNull(s.out[1]) : nullptr), activate(s) {
    if (!g.tiles.use()) return;
    const Tensor& where = s.out[bayesian ? 2 : 1];
    static_cast<Tiles&>(pool) = g.tiles;
    pool.y = y, pool.r = r, pool.where = where ? where.u8() : nullptr, pool.activate = activate;
    if (!apart) return;
    const long size = s.out[0].dims[0] * g.ho * g.wo * g.k + W;
    y = b.floats(size), activate = Activate();
    if (bayesian && s.out[1]) r = b.floats(size);
  }
};

// With several samples drawn from one set of moments, g = dz and h = dz * r are summed over them first.
struct SampleSums {
  long size, copies;
  float *g, *h;
  SampleSums(long elements, long n, Bump& b)
      : size(elements), copies(n), g(n > 1 ? b.floats(elements) : nullptr), h(n > 1 ? b.floats(elements) : nullptr) {}
  Pair run(const Pair& map) const {
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

// The gradients of a layer, of which `data` starts the one of x: one after the other in the same scratch memory.
template <class F>
INL size_t gradients(const Step& s, const Geometry& g, const Pair& dz, const Pair& x, long rows, void* scratch, F data,
                     float* dw1, float* dw2, float* db1, float* db2) {
  const int routes = x.routes();
  bool wanted = false;  // not of the pointers: when the plan is made, results have none
  for (int i = 1; i < s.nout; i++) wanted |= static_cast<bool>(s.out[i]);
  const uint8_t* where = winnersOf(s, g);
  if (g.tiles.use() && !s.out[0] && rows == g.n) {  // the narrow form puts pooled gradients back by itself
    Bump bump(scratch);
    const Weights weights(g, routes, bump);
    if (weights.lanes.use) {
      if (scratch && wanted) weights.run(x, dz, where, dw1, dw2, db1, db2);
      return bump.used;
    }
  }
  Bump shared(scratch);
  const Unpool unpool(g.tiles, rows, routes > 1, shared);
  const SampleSums samples(g.pixels * g.k, rows / g.n, shared);
  const Pair map = scratch ? samples.run(unpool.run(dz, where)) : dz;
  size_t most = shared.used;
  if (s.out[0]) {
    Bump bump = shared;
    const Data of(g, routes, gradientRoutes(g, routes), bump);
    if (scratch) data(of, map);
    most = bump.used;
  }
  if (wanted) {
    Bump bump = shared;
    const Weights weights(g, routes, bump);
    if (scratch) weights.run(x, map, nullptr, dw1, dw2, db1, db2);
    if (bump.used > most) most = bump.used;
  }
  return most;
}

// ---- conv2d and linear: x, w, [b] -> y, [where]
static inline size_t plainForward(const Step& s, void* scratch) {
  const Geometry g(s, s.in[0], s.in[1], s.out[0]);
  Bump bump(scratch);
  const Forward f(g, 1, bump);
  const Results to(s, g, false, true, bump);
  if (scratch)
    f.run({s.in[0].f32(), nullptr, ONE}, s.in[1].f32(), nullptr,
          BiasEpilogue{to.y, s.attr("bias") ? s.in[2].f32() : nullptr, g.k, to.activate, to.pool});
  return bump.used;
}

// dy, x, w, [y], [where] -> dx, dw, [db]
static inline size_t plainBackward(const Step& s, void* scratch) {
  const Tensor &dy = s.in[0], &x = s.in[1], &w = s.in[2];
  const Geometry g(s, x, w, dy);
  float* db = s.nout > 2 ? orNull(s.out[2]) : nullptr;
  return gradients(
      s, g, mapOf(s, 3, dy.f32(), nullptr), {x.f32(), nullptr, ONE}, dy.dims[0], scratch,
      [&](const Data& data, const Pair& map) {
        data.run(map, w.f32(), nullptr, BiasEpilogue{s.out[0].f32(), nullptr, g.c});
      },
      orNull(s.out[1]), nullptr, db, nullptr);
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
static inline size_t bayesForward(const Step& s, void* scratch) {
  const Geometry g(s, s.in[0], s.in[1], s.out[0]);
  Bump bump(scratch);
  const Forward f(g, 2, bump);
  const Results to(s, g, true, !f.lanes.use, bump);
  if (scratch)
    f.run({s.in[0].f32(), s.in[0].f32(), SQUARE}, s.in[1].f32(), s.in[2].f32(),
          lrtEpilogue(s, to, g.k, g.ho * g.wo, g.n));
  return bump.used;
}

// dy, r, x, mu, sigma2, [y], [where] -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
static inline size_t bayesBackward(const Step& s, void* scratch) {
  const Tensor &dy = s.in[0], &x = s.in[2], &mu = s.in[3], &sigma2 = s.in[4];
  const Geometry g(s, x, mu, dy);
  float *db1 = s.nout > 3 ? orNull(s.out[3]) : nullptr, *db2 = s.nout > 4 ? orNull(s.out[4]) : nullptr;
  return gradients(
      s, g, mapOf(s, 5, dy.f32(), s.in[1].f32()), {x.f32(), x.f32(), SQUARE}, dy.dims[0], scratch,
      [&](const Data& data, const Pair& map) {
        data.run(map, mu.f32(), sigma2.f32(), SquareEpilogue{s.out[0].f32(), x.f32(), g.c});
      },
      orNull(s.out[1]), orNull(s.out[2]), db1, db2);
}

}  // namespace ISA
}  // namespace bayes
