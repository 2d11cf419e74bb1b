import {
  type ConvTransposeAttrs, type ConvTransposeOptions, checkBias, convOnnx, convTransposeAttrs, ONNX_WEIGHT,
  pointChannels, taps, transposed,
} from "./shared/conv.ts"; // biome-ignore format: short
import { apply, f32, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";

const gradOp: Op<ConvTransposeAttrs> = {
  name: "convTranspose2dGrad", // dy, x, w -> dx, dw, [db]
  infer: ([dy, x, w], { bias }) => [x, w, ...(bias ? [f32([dy.shape[3]])] : [])],
  flops: ({ inputs: [, x, w] }) => 4 * taps(x.shape, w.shape),
};

const op: OnnxOp<ConvTransposeAttrs> = {
  name: "convTranspose2d",
  infer([x, w, b], attrs) {
    const y = transposed("convTranspose2d", x, w, attrs);
    checkBias("convTranspose2d", "bias", b, y.shape[3]);
    return [y];
  },
  grad: ([dy], { inputs: [x, w], attrs }) => apply(gradOp, [dy!, x, w], attrs),
  onnx: (ctx, { inputs: [, w], attrs }, names) =>
    ctx.emit("ConvTranspose", [names[0], ctx.weight(w, ONNX_WEIGHT), ...(attrs.bias ? [names[2]] : [])], {
      ...convOnnx(attrs, w.shape),
      output_padding: attrs.outputPadding,
    }),
  channels: (flow, node) => pointChannels(flow, node, { reads: 3, makes: 2 }),
  flops: ({ inputs: [x, w] }) => 2 * taps(x.shape, w.shape),
};

/**
 * Transposed convolution: the data gradient of the convolution with the same weight that maps y to x.
 * @param x [N, H, W, C]
 * @param w [kh, kw, K / groups, C]
 * @param b [K]
 * @returns [N, H', W', K], H' = (H - 1) stride - top - bottom + dilation (kh - 1) + outputPadding + 1
 * @throws BayesError when shapes, channels and groups do not fit, or no pixel would be left
 */
export const convTranspose2d = (x: Tensor, w: Tensor, b?: Tensor, options: ConvTransposeOptions = {}): Tensor =>
  apply(op, b ? [x, w, b] : [x, w], convTransposeAttrs("convTranspose2d", options, b ? 1 : 0))[0];
