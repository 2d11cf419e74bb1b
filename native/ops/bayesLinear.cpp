// The local reparameterization linear layer: bayesConv2d.cpp with one pixel.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

LAYER(bayesLinear, bayesForward, bayesAlgorithm)
CONTRACT(bayesLinear) { bayesLayer(c, LINEAR); }
LAYER(bayesLinearGrad, bayesBackward, bayesGradientAlgorithm)
CONTRACT(bayesLinearGrad) { bayesGradient(c, LINEAR); }

}  // namespace ISA
}  // namespace bayes
