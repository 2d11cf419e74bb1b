import { apply, checkShape, checkTensors, type Shape, sameShape, type Tensor } from "../graph/node.ts";
import { fail } from "../util/errors.ts";
import { alignOnnx, broadcastShape } from "./shared/broadcast.ts";
import { checkFloats } from "./shared/checks.ts";
import type { OnnxOp } from "./shared/onnx.ts";
import { sumTo } from "./sum.ts";

type BroadcastAttrs = { readonly shape: Shape };

const op: OnnxOp<BroadcastAttrs> = {
  name: "broadcastTo",
  infer(inputs, { shape }) {
    checkFloats("broadcastTo", inputs);
    const from = inputs[0].shape;
    if (shape.length > 6) fail("broadcastTo", "at most 6 dimensions", [...shape]);
    if (!sameShape(broadcastShape("broadcastTo", shape, from), shape))
      fail("broadcastTo", `a shape that [${from.join(",")}] stretches to`, [...shape]);
    return [{ shape, dtype: "f32" }];
  },
  grad: ([dy], { inputs: [x, like] }) => [sumTo(dy!, x.shape), ...(like ? [undefined] : [])],
  onnx(ctx, { inputs: [{ shape: from }], attrs: { shape } }, [x, like]) {
    const rank = shape.length;
    if (like) return ctx.emit("Expand", [alignOnnx(ctx, x, from, rank), ctx.emit("Shape", [like])]);
    const sizes: number[] = []; // 1 where nothing stretches: the batch stays symbolic
    shape.forEach((d, i) => {
      sizes[ctx.layout.axis(i, rank)] = d === from[i - rank + from.length] ? 1 : d;
    });
    return ctx.emit("Expand", [alignOnnx(ctx, x, from, rank), ctx.constant(sizes, [rank], "shape")]);
  },
};

/** x repeated to `shape` under NumPy's rule: aligned at the last axis, axes of size 1 stretch. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  checkTensors("broadcastTo", x);
  const to = checkShape("broadcastTo", shape);
  return sameShape(x.shape, to) ? x : apply(op, [x], { shape: to })[0];
}

/** {@link broadcastTo} the shape of another tensor: in an exported model the batch of that tensor, whatever it is. */
export function broadcastLike(x: Tensor, like: Tensor): Tensor {
  checkTensors("broadcastTo", x, like);
  return apply(op, [x, like], { shape: like.shape })[0];
}
