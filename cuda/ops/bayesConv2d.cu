// The local reparameterization convolution and its gradients, mean and variance in one pass each.
#include "cuda/conv/layer.h"
namespace bayes {
namespace cuda {

LAYER(bayesConv2d, bayesForward)
LAYER(bayesConv2dGrad, bayesBackward)

}  // namespace cuda
}  // namespace bayes
