import { apply, f32, fail, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";
import { pooled, type WindowAttrs, type WindowOptions, windowAttrs, windowOnnx } from "./shared/window.ts";

type GradAttrs = WindowAttrs & {
  readonly shape: readonly number[];
};

const gradOp: Op<GradAttrs> = {
  name: "maxPool2dGrad",
  selects: "backward",
  infer: (_inputs, { shape }) => [f32(shape)],
};

const op: OnnxOp<WindowAttrs> = {
  name: "maxPool2d",
  selects: "forward",
  activates: "forward",
  infer([x], attrs) {
    const y = pooled("maxPool2d", x, attrs);
    const [kh, kw] = attrs.kernel;
    if (kh * kw > 256) fail("maxPool2d", "a kernel of at most 256 pixels", [kh, kw]);
    return [y, { shape: y.shape, dtype: "u8" }]; // the second: where in its window each maximum lies, for backward
  },
  grad([dy], { attrs, inputs, outputs }) {
    return [apply(gradOp, [dy!, outputs[1]], { ...attrs, shape: inputs[0].shape })[0]];
  },
  onnx: (ctx, { attrs }, [x]) => ctx.emit("MaxPool", [x], windowOnnx(attrs)),
  channels: (flow, { inputs: [x] }) => flow.of(x),
  flops: ({ attrs, outputs }) => outputs[0].size * attrs.kernel[0] * attrs.kernel[1],
};

/**
 * The largest value of each window. Padding never wins; of equal values the first in the window (row by row) gets the
 * gradient; a NaN in the window is the result.
 * @param x [N, H, W, C]
 * @returns [N, OH, OW, C], OH = floor((H + top + bottom - kernel) / stride) + 1
 * @throws BayesError when the kernel does not fit, has more than 256 pixels, or the padding is not smaller than it
 */
export const maxPool2d = (x: Tensor, options: WindowOptions): Tensor =>
  apply(op, [x], windowAttrs("maxPool2d", options))[0];
