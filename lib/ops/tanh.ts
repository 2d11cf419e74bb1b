import { apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const gradOp = elementwiseOp("tanhGrad");
const op = elementwiseOp("tanh", {
  grad: ([dy], { outputs: [y] }) => [apply(gradOp, [dy!, y], {})[0]],
  onnx: (ctx, _node, [x]) => ctx.emit("Tanh", [x]),
});

/** Hyperbolic tangent, elementwise. */
export const tanh = (x: Tensor): Tensor => apply(op, [x], {})[0];
