// The transposed convolution: the data gradient of the convolution that it reverses.
#include "cuda/conv/layer.h"
namespace bayes {
namespace cuda {

LAYER(convTranspose2d, transposedForward)
LAYER(convTranspose2dGrad, transposedBackward)

}  // namespace cuda
}  // namespace bayes
