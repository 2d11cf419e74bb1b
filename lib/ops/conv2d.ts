import {
  type ConvAttrs,
  type ConvOptions,
  checkBias,
  convAttrs,
  convOnnx,
  convolved,
  ONNX_WEIGHT,
  pointChannels,
  taps,
} from "./shared/conv.ts";
import { apply, checkTensors, f32, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";

const gradOp: Op<ConvAttrs> = {
  name: "conv2dGrad", // dy, x, w -> dx, dw, [db]
  activates: "backward",
  pools: "backward",
  infer: ([dy, x, w], { bias }) => [x, w, ...(bias ? [f32([dy.shape[3]])] : [])],
  flops: ({ inputs: [, x, w], attrs }) => 4 * taps(convolved("conv2d", x, w, attrs).shape, w.shape),
};

const op: OnnxOp<ConvAttrs> = {
  name: "conv2d",
  activates: "forward",
  pools: "forward",
  infer([x, w, b], attrs) {
    const y = convolved("conv2d", x, w, attrs);
    checkBias("conv2d", "bias", b, y.shape[3]);
    return [y];
  },
  grad: ([dy], { inputs: [x, w], attrs }) => apply(gradOp, [dy!, x, w], attrs),
  onnx: (ctx, { inputs: [, w], attrs }, names) =>
    ctx.emit(
      "Conv",
      [names[0], ctx.weight(w, ONNX_WEIGHT), ...(attrs.bias ? [names[2]] : [])],
      convOnnx(attrs, w.shape),
    ),
  channels: (flow, node) => pointChannels(flow, node, { reads: 2, makes: 3 }),
  flops: ({ inputs: [x, w], attrs }) => 2 * taps(convolved("conv2d", x, w, attrs).shape, w.shape),
};

/**
 * Convolution (cross-correlation, as everywhere in the field) of channels-last images, plus a bias per filter.
 *
 * Kernels of 3 and 5 with stride 1 may be computed in patches (Winograd): errors are then relative to the largest values in
 * a patch of results, and a sum of terms that are not negative may end slightly below zero, unless `exact` asks for plain sums.
 * @param x [N, H, W, C]
 * @param w [kh, kw, C / groups, K]
 * @param b [K]
 * @returns [N, H', W', K], H' = floor((H + top + bottom - dilation (kh - 1) - 1) / stride) + 1
 * @throws BayesError when shapes, channels and groups do not fit, or no pixel would be left
 */
export function conv2d(x: Tensor, w: Tensor, b?: Tensor, options: ConvOptions = {}): Tensor {
  checkTensors("conv2d", x, w);
  return apply(op, b ? [x, w, b] : [x, w], convAttrs("conv2d", x.shape, w.shape, options, b ? 1 : 0))[0];
}
