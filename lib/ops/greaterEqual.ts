import { apply, type Tensor } from "../graph/node.ts";
import { alignOnnx, broadcastOp } from "./shared/broadcast.ts";

const op = broadcastOp("greaterEqual", "GreaterOrEqual", {
  grad: () => [undefined, undefined],
  onnx(ctx, node, inputs) {
    const rank = node.outputs[0].shape.length;
    const is = ctx.emit(
      "GreaterOrEqual",
      inputs.map((x, i) => alignOnnx(ctx, x, node.inputs[i].shape, rank)),
    );
    return ctx.emit("Cast", [is], { to: 1 });
  },
});

/** 1 where a >= b, else 0 (also where either is NaN), with NumPy broadcasting. No gradient. */
export const greaterEqual = (a: Tensor, b: Tensor): Tensor => apply(op, [a, b], {})[0];
