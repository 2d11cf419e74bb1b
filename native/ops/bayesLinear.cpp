// The local reparameterization linear layer: bayesConv2d.cpp with one pixel.
#include "../layer.h"
namespace bayes {
namespace ISA {

LAYER(bayesLinear, bayesForward)
LAYER(bayesLinearGrad, bayesBackward)

}  // namespace ISA
}  // namespace bayes
