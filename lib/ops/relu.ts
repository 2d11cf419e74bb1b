import { type Activation, apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const activation = (): Activation => ({ activation: 1, slope: 0 });
const gradOp = elementwiseOp("reluGrad", { activationGrad: activation });
const op = elementwiseOp("relu", {
  grad: ([dy], { outputs: [y] }) => [apply(gradOp, [dy!, y], {})[0]],
  activation,
  onnx: (ctx, _node, [x]) => ctx.emit("Relu", [x]),
});

/** max(x, 0), elementwise; any shape. A NaN stays a NaN. */
export const relu = (x: Tensor): Tensor => apply(op, [x], {})[0];
