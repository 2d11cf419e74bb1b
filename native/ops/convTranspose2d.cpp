// The transposed convolution y = convT(x, w) + b: the data gradient of the convolution that maps y to x, so its own
// data gradient is that convolution's forward pass, and image and map change places (../conv/layer.h).
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

// x, w [kh, kw, K / groups, C], [b] -> y
static Geometry plainTransposed(const Step& s) { return {s, s.out[0], s.in[1], s.in[0]}; }
static size_t plainTransposedForward(const Step& s, void* scratch, Bump* kept) {
  const Geometry g = plainTransposed(s);
  Bump bump(scratch);
  dataGradient(choose(DATA, g, 1, false), g, {s.in[0].f32(), nullptr, ONE}, weightsOf(s, g, nullptr, kept),
               BiasEpilogue{s.out[0].f32(), s.attr("bias") ? s.in[2].f32() : nullptr, g.c}, bump);
  return bump.used;
}

// dy, x, w -> dx, dw, [db]
static Geometry plainTransposedGradient(const Step& s) { return {s, s.in[0], s.in[2], s.in[1]}; }
static size_t plainTransposedBackward(const Step& s, void* scratch) {
  const Geometry g = plainTransposedGradient(s);
  return transposedGradients(s, g, {s.in[0].f32(), nullptr, ONE}, {s.in[1].f32(), nullptr, ONE}, s.in[2].f32(), nullptr,
                             BiasEpilogue{s.out[0].f32(), nullptr, g.k},
                             {orNull(s.out[1]), nullptr, s.nout > 2 ? orNull(s.out[2]) : nullptr, nullptr},
                             Bump(scratch));
}

LAYER(convTranspose2d, plainTransposedForward, 1, forwardAlgorithm<plainTransposed, DATA, 1>)
CONTRACT(convTranspose2d) { plainLayer(c, TRANSPOSED); }
GRADIENT(convTranspose2dGrad, plainTransposedBackward, gradientAlgorithm<plainTransposedGradient, FORWARD, 1>)
CONTRACT(convTranspose2dGrad) { plainGradient(c, TRANSPOSED); }

}  // namespace ISA
}  // namespace bayes
