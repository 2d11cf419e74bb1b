import { apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./elementwise.ts";

const gradOp = elementwiseOp("softplusGrad");
const op = elementwiseOp("softplus", {
  grad: ([dy], { inputs: [x] }) => [apply(gradOp, [dy!, x], {})[0]],
  onnx: (ctx, _node, [x]) => ctx.emit("Softplus", [x]),
});

/** ln(1 + e^x) = max(x, 0) + log1p(e^-|x|), elementwise: positive and finite for every finite x above -103. */
export const softplus = (x: Tensor): Tensor => apply(op, [x], {})[0];
