// The layers: products of the convolution family.
#include "../ops/conv2d.cu"
#include "../ops/linear.cu"
#include "../ops/bayesConv2d.cu"
#include "../ops/bayesLinear.cu"
#include "../ops/convTranspose2d.cu"
#include "../ops/bayesConvTranspose2d.cu"
