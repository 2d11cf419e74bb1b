// The local reparameterization linear layer: bayesConv2d.cpp with one pixel.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

LAYER(bayesLinear, bayesForward, 2, forwardAlgorithm<plainGeometry, FORWARD, 2>)
CONTRACT(bayesLinear) { bayesLayer(c, LINEAR); }
GRADIENT(bayesLinearGrad, bayesBackward, gradientAlgorithm<bayesGradientGeometry, DATA, 2>)
CONTRACT(bayesLinearGrad) { bayesGradient(c, LINEAR); }

}  // namespace ISA
}  // namespace bayes
