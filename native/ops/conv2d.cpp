// y = conv(x, w) + b and its gradients. One route of conv.h; bound by the FMA ports except for very few channels.
#include "../conv/layer.h"
namespace bayes {
namespace ISA {

LAYER(conv2d, plainForward)
CONTRACT(conv2d) { plainLayer(c, CONV); }
LAYER(conv2dGrad, plainBackward)
CONTRACT(conv2dGrad) { plainGradient(c, CONV); }

}  // namespace ISA
}  // namespace bayes
