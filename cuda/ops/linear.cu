// y = x w + b and its gradients: a 1x1 convolution of 1x1 images.
#include "cuda/conv/layer.h"
namespace bayes {
namespace cuda {

LAYER(linear, plainForward)
LAYER(linearGrad, plainBackward)

}  // namespace cuda
}  // namespace bayes
