// What every convolution and linear layer shares: three products on the register kernel of gemm.h (forward.h,
// weights.h, data.h):
//   Forward     out[pixel][k]   = sum over taps of panel[pixel][tap] * w[tap][k]
//   Weights     dw[tap][k]      = sum over pixels of panel[pixel][tap] * g[pixel][k]
//   Data        dx[pixel][c]    = sum over taps of g[pixel'][k] * w[tap][k], the transpose of Forward
// Each runs over several images at once where it pays (product.h, imageWeights.h: nothing is multiplied with padding);
// with at most 12 results a pixel (or 16: LANE_WIDTH) the images lie in the lanes (lanes.h); kernels of 3 and 5 take
// fewer multiplications for the first route (winograd.h), whatever form the second has, or for both; few inputs, small
// batches and groups have rows of an image or im2col (panel.h), and for Data col2im. Each runs one route (plain layers)
// or two at once over the same block (mean and variance), and each serves transposed convolutions too, with the roles
// of image and map swapped. A linear layer is a 1x1 convolution of 1x1 images. Tasks, blocks and splits depend on
// shapes alone; partial sums are added in a fixed order.
#pragma once
#include "dataGradient.h"
#include "forward.h"
#include "weightGradient.h"
