import { arithmetic } from "../graph/trace.ts";
import { type ConvAttrs, checkBias, multiplied, pointChannels, taps } from "./shared/conv.ts";
import { apply, f32, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";

type Attrs = Pick<ConvAttrs, "bias" | "precision">;

const gradOp: Op<Attrs> = {
  name: "linearGrad", // dy, x, w -> dx, dw, [db]
  activates: "backward",
  infer: ([, x, w], { bias }) => [x, w, ...(bias ? [f32([w.shape[1]])] : [])],
  flops: ({ inputs: [dy, , w] }) => 4 * taps(dy.shape, w.shape),
};

const op: OnnxOp<Attrs> = {
  name: "linear",
  activates: "forward",
  infer([x, w, b]) {
    const y = multiplied("linear", x, w);
    checkBias("linear", "bias", b, y.shape[1]);
    return [y];
  },
  grad: ([dy], { inputs: [x, w], attrs }) => apply(gradOp, [dy!, x, w], attrs),
  onnx: (ctx, { inputs: [, w], attrs }, names) =>
    ctx.emit("Gemm", [names[0], ctx.weight(w), ...(attrs.bias ? [names[2]] : [])]),
  channels: (flow, node) => pointChannels(flow, node, { reads: 0, makes: 1 }),
  flops: ({ inputs: [, w], outputs: [y] }) => 2 * taps(y.shape, w.shape),
};

/**
 * y = x w + b.
 * @param x [N, in]
 * @param w [in, out]
 * @param b [out]
 * @returns [N, out]
 */
export const linear = (x: Tensor, w: Tensor, b?: Tensor): Tensor =>
  apply(op, b ? [x, w, b] : [x, w], { bias: b ? 1 : 0, ...arithmetic() })[0];
