import { apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const gradOp = elementwiseOp("sqrtGrad");
const op = elementwiseOp("sqrt", {
  grad: ([dy], { outputs: [y] }) => [apply(gradOp, [dy!, y], {})[0]],
  onnx: (ctx, _node, [x]) => ctx.emit("Sqrt", [x]),
});

/** Square root, elementwise. Its gradient at 0 is 0, not infinite: a variance of exactly zero does no harm. */
export const sqrt = (x: Tensor): Tensor => apply(op, [x], {})[0];
