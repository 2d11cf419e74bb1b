// The local reparameterization transposed convolution.
#include "cuda/conv/layer.h"
namespace bayes {
namespace cuda {

LAYER(bayesConvTranspose2d, bayesTransposedForward)
LAYER(bayesConvTranspose2dGrad, bayesTransposedBackward)

}  // namespace cuda
}  // namespace bayes
