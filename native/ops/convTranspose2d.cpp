// The transposed convolution y = convT(x, w) + b: the data gradient of the convolution that maps y to x, so its own
// data gradient is that convolution's forward pass, and image and map change places (conv.h). Bound by the FMA ports.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

static size_t plainTransposedForward(const Step& s, void* scratch) {  // x, w [kh, kw, K / groups, C], [b] -> y
  const Geometry g(s, s.out[0], s.in[1], s.in[0]);
  Bump bump(scratch);
  const Data data(g, 1, 1, bump);
  if (scratch)
    data.run({s.in[0].f32(), nullptr, ONE}, s.in[1].f32(), nullptr,
             BiasEpilogue{s.out[0].f32(), s.attr("bias") ? s.in[2].f32() : nullptr, g.c});
  return bump.used;
}

static size_t plainTransposedBackward(const Step& s, void* scratch) {  // dy, x, w -> dx, dw, [db]
  const Tensor &dy = s.in[0], &x = s.in[1], &w = s.in[2];
  const Geometry g(s, dy, w, x);
  const Pair image{dy.f32(), nullptr, ONE};
  size_t most = 0;
  if (s.out[0]) {
    Bump bump(scratch);
    const Forward f(g, 1, bump);
    if (scratch) f.run(image, w.f32(), nullptr, BiasEpilogue{s.out[0].f32(), nullptr, g.k, Activate(s)});
    most = bump.used;
  }
  if (s.out[1]) {
    Bump bump(scratch);
    const Weights weights(g, 1, bump);
    if (scratch) weights.run(image, {x.f32(), nullptr, ONE}, nullptr, s.out[1].f32(), nullptr, nullptr, nullptr);
    if (bump.used > most) most = bump.used;
  }
  if (s.nout > 2 && s.out[2]) {
    Bump bump(scratch);
    const ColumnSums sums(g.n * g.h * g.w, g.c, g.form, bump);
    if (scratch) sums.run(image, s.out[2].f32(), nullptr);
    if (bump.used > most) most = bump.used;
  }
  return most;
}

LAYER(convTranspose2d, plainTransposedForward)
CONTRACT(convTranspose2d) { plainLayer(c, TRANSPOSED); }
LAYER(convTranspose2dGrad, plainTransposedBackward)
CONTRACT(convTranspose2dGrad) { plainGradient(c, TRANSPOSED); }

}  // namespace ISA
}  // namespace bayes
