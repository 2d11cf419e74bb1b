import { apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const gradOp = elementwiseOp("sigmoidGrad");
const op = elementwiseOp("sigmoid", {
  grad: ([dy], { outputs: [y] }) => [apply(gradOp, [dy!, y], {})[0]],
  onnx: (ctx, _node, [x]) => ctx.emit("Sigmoid", [x]),
});

/** 1 / (1 + e^-x), elementwise; exact in both tails. */
export const sigmoid = (x: Tensor): Tensor => apply(op, [x], {})[0];
