import { apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const gradOp = elementwiseOp("absGrad");
const op = elementwiseOp("abs", {
  grad: ([dy], { inputs: [x] }) => [apply(gradOp, [dy!, x], {})[0]],
  onnx: (ctx, _node, [x]) => ctx.emit("Abs", [x]),
});

/** |x|, elementwise; the gradient at 0 is 0. */
export const abs = (x: Tensor): Tensor => apply(op, [x], {})[0];
