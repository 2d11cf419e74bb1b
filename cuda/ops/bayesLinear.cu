// The local reparameterization linear layer: bayesConv2d.cu with one pixel.
#include "cuda/conv/layer.h"
namespace bayes {
namespace cuda {

LAYER(bayesLinear, bayesForward)
LAYER(bayesLinearGrad, bayesBackward)

}  // namespace cuda
}  // namespace bayes
