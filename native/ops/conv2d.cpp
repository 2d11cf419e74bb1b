// y = conv(x, w) + b and its gradients. One route (../conv/layer.h); bound by the FMA ports except for very few
// channels.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

LAYER(conv2d, plainForward, 1, forwardAlgorithm<plainGeometry, FORWARD, 1>)
CONTRACT(conv2d) { plainLayer(c, CONV); }
GRADIENT(conv2dGrad, plainBackward, gradientAlgorithm<plainGradientGeometry, DATA, 1>)
CONTRACT(conv2dGrad) { plainGradient(c, CONV); }

}  // namespace ISA
}  // namespace bayes
