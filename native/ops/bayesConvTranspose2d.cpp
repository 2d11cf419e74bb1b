// The local reparameterization transposed convolution. Mean and variance of a group of images are computed together
// (convTranspose2d.cpp), then the noise joins them while they are in the cache. Gradients as in bayesConv2d.cpp, with
// image and map exchanged.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

static size_t transposedForward(const Step& s, void* scratch) {  // x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r
  const Geometry g(s, s.out[0], s.in[1], s.in[0]);
  Bump bump(scratch);
  const Data data(g, 2, 1, bump);
  const Results to(s, g, true, false, bump);
  if (scratch)
    data.run({s.in[0].f32(), s.in[0].f32(), SQUARE}, s.in[1].f32(), s.in[2].f32(),
             lrtEpilogue(s, to, g.c, g.h * g.w, g.n));
  return bump.used;
}

static size_t transposedBackward(const Step& s,
                                 void* scratch) {  // dy, r, x, mu, sigma2 -> dx, dmu, dsigma2, [dbMu], ...
  const Tensor &dy = s.in[0], &x = s.in[2], &mu = s.in[3], &sigma2 = s.in[4];
  const Geometry g(s, dy, mu, x);
  Bump shared(scratch);
  const SampleSums samples(g.n * g.imageSize(), dy.dims[0] / g.n, shared);
  Pair image{dy.f32(), s.in[1].f32(), PRODUCT};
  if (scratch) image = samples.run(image);
  size_t most = shared.used;
  if (s.out[0]) {
    Bump bump = shared;
    const Forward f(g, 2, bump);
    if (scratch) f.run(image, mu.f32(), sigma2.f32(), SquareEpilogue{s.out[0].f32(), x.f32(), g.k});
    most = bump.used;
  }
  if (s.out[1] || s.out[2]) {
    Bump bump = shared;
    const Weights weights(g, 2, bump);
    if (scratch)
      weights.run(image, {x.f32(), x.f32(), SQUARE}, nullptr, orNull(s.out[1]), orNull(s.out[2]), nullptr, nullptr);
    if (bump.used > most) most = bump.used;
  }
  if (s.nout > 3) {
    Bump bump = shared;
    const ColumnSums sums(g.n * g.h * g.w, g.c, g.form, bump);
    if (scratch) sums.run(image, orNull(s.out[3]), s.nout > 4 ? orNull(s.out[4]) : nullptr);
    if (bump.used > most) most = bump.used;
  }
  return most;
}

LAYER(bayesConvTranspose2d, transposedForward)
CONTRACT(bayesConvTranspose2d) { bayesLayer(c, TRANSPOSED); }
LAYER(bayesConvTranspose2dGrad, transposedBackward)
CONTRACT(bayesConvTranspose2dGrad) { bayesGradient(c, TRANSPOSED); }

}  // namespace ISA
}  // namespace bayes
