import { checkOptions } from "../util/errors.ts";
import { broadcastTo } from "./broadcastTo.ts";
import { reshape } from "./reshape.ts";
import { axesOf } from "./shared/elementwise.ts";
import { apply, checkFloats, checkShape, checkTensors, type OnnxOp, type Shape, type Tensor } from "./shared/op.ts";

/** Sums over the neighbouring axes [from, to). */
type SumAttrs = { readonly from: number; readonly to: number; readonly keepdims: boolean };

const kept = (shape: Shape, { from, to }: SumAttrs): Shape => shape.map((d, i) => (i >= from && i < to ? 1 : d));

const op: OnnxOp<SumAttrs> = {
  name: "sum",
  infer(inputs, attrs) {
    checkFloats("sum", inputs);
    const { shape } = inputs[0];
    return [
      {
        shape: attrs.keepdims ? kept(shape, attrs) : shape.filter((_, i) => i < attrs.from || i >= attrs.to),
        dtype: "f32",
      },
    ];
  },
  channels: (flow, { inputs: [x], attrs: { to } }) => (to < x.shape.length ? flow.of(x) : undefined),
  grad: ([dy], { inputs: [x], attrs }) => [broadcastTo(reshape(dy!, kept(x.shape, attrs)), x.shape)],
  onnx(ctx, { inputs: [{ shape }], attrs: { from, to, keepdims } }, [x]) {
    const rank = shape.length;
    const ours = keepdims ? undefined : ctx.layout.toOurs(rank); // the axes that are left lie in our order
    const input = ours ? ctx.emit("Transpose", [x], { perm: ours }) : x;
    const axes = Array.from({ length: to - from }, (_, i) => (ours ? from + i : ctx.layout.axis(from + i, rank)));
    const y = ctx.emit("ReduceSum", [input, ctx.constant(axes, [axes.length], "axes")], { keepdims: Number(keepdims) });
    const back = keepdims ? undefined : ctx.layout.toOnnx(rank - (to - from));
    return back ? ctx.emit("Transpose", [y], { perm: back }) : y;
  },
  flops: (node) => node.inputs[0].size,
};

export interface ReduceOptions {
  /** The summed axes stay, with size 1. */
  readonly keepdims?: boolean;
}

/**
 * Sum over `axes` (default: all, to a scalar of shape []). The order of the additions depends on the shape alone, and
 * long sums are added up in float64.
 */
export function sum(x: Tensor, axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
  checkTensors("sum", x);
  const { keepdims = false } = checkOptions("sum", options, { keepdims: "boolean" });
  const list = axesOf("sum", x.shape, axes);
  let y = x;
  // runs of neighbouring axes, last first, so that the numbers of the earlier ones stay
  for (let end = list.length; end > 0; ) {
    let start = end - 1;
    while (start > 0 && list[start - 1] === list[start] - 1) start--;
    y = apply(op, [y], { from: list[start], to: list[end - 1] + 1, keepdims })[0];
    end = start;
  }
  return y;
}

/** The reverse of {@link broadcastTo}: sums x down to the shape `to`, which broadcasts to that of x. */
export function sumTo(x: Tensor, to: Shape): Tensor {
  checkTensors("sum", x);
  const shape = checkShape("sum", to);
  const missing = x.shape.length - shape.length;
  const axes = x.shape.flatMap((d, i) => (i < missing || (shape[i - missing] === 1 && d !== 1) ? [i] : []));
  const y = axes.length ? sum(x, axes, { keepdims: true }) : x;
  return y.shape.length === shape.length ? y : reshape(y, shape);
}
