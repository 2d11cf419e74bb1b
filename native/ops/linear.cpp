// y = x w + b and its gradients: a 1x1 convolution of 1x1 images (../conv/parts/geometry.h). Bound by the FMA ports
// from batch 16 or so, by reading the weights below.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

LAYER(linear, plainForward, 1, forwardAlgorithm<plainGeometry, FORWARD, 1>)
CONTRACT(linear) { plainLayer(c, LINEAR); }
GRADIENT(linearGrad, plainBackward, gradientAlgorithm<plainGradientGeometry, DATA, 1>)
CONTRACT(linearGrad) { plainGradient(c, LINEAR); }

}  // namespace ISA
}  // namespace bayes
