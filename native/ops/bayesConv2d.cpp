// The local reparameterization convolution: v = conv(x^2, sigma2) + bSigma2, y = conv(x, mu) + bMu + sqrt(v) eps, in
// one pass over x. Beyond its input it keeps r = dy/dv, so its gradient draws no noise: with g = dy and h = dy r, dmu =
// convW(x, g), dsigma2 = convW(x^2, h), dx = convD(g, mu) + 2 x convD(h, sigma2), each pair in one pass. Bound by the
// FMA ports (4 flops per tap); noise costs about as much as 20 taps.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

LAYER(bayesConv2d, bayesForward, 2, forwardAlgorithm<plainGeometry, FORWARD, 2>)
CONTRACT(bayesConv2d) { bayesLayer(c, CONV); }
GRADIENT(bayesConv2dGrad, bayesBackward, gradientAlgorithm<bayesGradientGeometry, DATA, 2>)
CONTRACT(bayesConv2dGrad) { bayesGradient(c, CONV); }

}  // namespace ISA
}  // namespace bayes
