// The local reparameterization transposed convolution. Mean and variance of a group of images are computed together
// (convTranspose2d.cpp), then the noise joins them while they are in the cache. Gradients as in bayesConv2d.cpp, with
// image and map exchanged.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

// x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r
static Geometry bayesTransposed(const Step& s) { return {s, s.out[0], s.in[1], s.in[0]}; }
static size_t bayesTransposedForward(const Step& s, void* scratch, Bump* kept) {
  const Geometry g = bayesTransposed(s);
  const Choice c = choose(DATA, g, 2, false);
  Bump bump(scratch);
  const Results to(s, g, true, c, bump);
  const float* x = s.in[0].f32();
  dataGradient(c, g, {x, x, SQUARE}, weightsOf(s, g, s.in + 2, kept), lrtEpilogue(s, to, g.c, g.h * g.w, g.n), bump);
  return bump.used;
}

// dy, r, x, mu, sigma2 -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
static Geometry bayesTransposedGradient(const Step& s) { return {s, s.in[0], s.in[3], s.in[2]}; }
static size_t bayesTransposedBackward(const Step& s, void* scratch) {
  const Geometry g = bayesTransposedGradient(s);
  Bump shared(scratch);
  const SampleSums samples(g.n * g.imageSize(), s.in[0].dims[0] / g.n, shared);
  Operands image{s.in[0].f32(), s.in[1].f32(), PRODUCT};
  if (scratch) image = samples.run(image);
  const float* x = s.in[2].f32();
  return transposedGradients(s, g, image, {x, x, SQUARE}, s.in[3].f32(), s.in[4].f32(),
                             SquareEpilogue{s.out[0].f32(), x, g.k}, bayesGradients(s), shared);
}

LAYER(bayesConvTranspose2d, bayesTransposedForward, 2, forwardAlgorithm<bayesTransposed, DATA, 2>)
CONTRACT(bayesConvTranspose2d) { bayesLayer(c, TRANSPOSED); }
GRADIENT(bayesConvTranspose2dGrad, bayesTransposedBackward, gradientAlgorithm<bayesTransposedGradient, FORWARD, 2>)
CONTRACT(bayesConvTranspose2dGrad) { bayesGradient(c, TRANSPOSED); }

}  // namespace ISA
}  // namespace bayes
