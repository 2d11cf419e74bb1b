// The local reparameterization linear layer: bayesConv2d.cpp with one pixel.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

LAYER(bayesLinear, bayesForward)
CONTRACT(bayesLinear) { bayesLayer(c, LINEAR); }
LAYER(bayesLinearGrad, bayesBackward)
CONTRACT(bayesLinearGrad) { bayesGradient(c, LINEAR); }

}  // namespace ISA
}  // namespace bayes
