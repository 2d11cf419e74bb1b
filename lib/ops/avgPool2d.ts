import { apply, f32, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";
import { pooled, type WindowAttrs, type WindowOptions, windowAttrs, windowOnnx } from "./shared/window.ts";

type AvgAttrs = WindowAttrs & {
  readonly countIncludePad: boolean;
};
type GradAttrs = AvgAttrs & {
  readonly shape: readonly number[];
};

const gradOp: Op<GradAttrs> = { name: "avgPool2dGrad", infer: (_inputs, { shape }) => [f32(shape)] };

const op: OnnxOp<AvgAttrs> = {
  name: "avgPool2d",
  infer: ([x], attrs) => [pooled("avgPool2d", x, attrs)],
  grad: ([dy], { attrs, inputs }) => [apply(gradOp, [dy!], { ...attrs, shape: inputs[0].shape })[0]],
  onnx: (ctx, { attrs }, [x]) =>
    ctx.emit("AveragePool", [x], { ...windowOnnx(attrs), count_include_pad: Number(attrs.countIncludePad) }),
  channels: (flow, { inputs: [x] }) => flow.of(x),
  flops: ({ attrs, outputs }) => outputs[0].size * attrs.kernel[0] * attrs.kernel[1],
};

/** Options of {@link avgPool2d}. */
export interface AvgPoolOptions extends WindowOptions {
  /** Divide by the kernel's size everywhere (default, as PyTorch), or only by the pixels that lie in the image. */
  readonly countIncludePad?: boolean;
}

/**
 * The mean of each window; padding counts as zeros.
 * @param x [N, H, W, C]
 * @returns [N, OH, OW, C], OH = floor((H + top + bottom - kernel) / stride) + 1
 * @throws BayesError when the kernel does not fit or the padding is not smaller than it
 */
export const avgPool2d = (x: Tensor, options: AvgPoolOptions): Tensor =>
  apply(op, [x], { ...windowAttrs("avgPool2d", options), countIncludePad: options.countIncludePad ?? true })[0];
