import { apply, type Tensor } from "../graph/node.ts";
import { mul } from "./mul.ts";
import { scale } from "./scale.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const op = elementwiseOp("square", {
  grad: ([dy], { inputs: [x] }) => [mul(dy!, scale(x, 2))],
  onnx: (ctx, _node, [x]) => ctx.emit("Mul", [x, x]),
});

/** x^2, elementwise. */
export const square = (x: Tensor): Tensor => apply(op, [x], {})[0];
