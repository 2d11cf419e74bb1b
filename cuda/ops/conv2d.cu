// y = conv(x, w) + b and its gradients.
#include "cuda/conv/layer.h"
namespace bayes {
namespace cuda {

LAYER(conv2d, plainForward)
LAYER(conv2dGrad, plainBackward)

}  // namespace cuda
}  // namespace bayes
