// y = conv(x, w) + b and its gradients. One route (../conv/layer.h); bound by the FMA ports except for very few
// channels.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

LAYER(conv2d, plainForward, plainAlgorithm)
CONTRACT(conv2d) { plainLayer(c, CONV); }
LAYER(conv2dGrad, plainBackward, plainGradientAlgorithm)
CONTRACT(conv2dGrad) { plainGradient(c, CONV); }

}  // namespace ISA
}  // namespace bayes
