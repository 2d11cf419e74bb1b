import { type Activation, apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const activation = (): Activation => ({ activation: 2, slope: 0 });
const gradOp = elementwiseOp("softplusGrad", { activationGrad: activation });
const op = elementwiseOp("softplus", {
  grad: ([dy], { outputs: [y] }) => [apply(gradOp, [dy!, y], {})[0]], // 1 - e^-y
  activation,
  onnx: (ctx, _node, [x]) => ctx.emit("Softplus", [x]),
});

/** ln(1 + e^x) = max(x, 0) + log1p(e^-|x|), elementwise: positive and finite for every finite x above -103. */
export const softplus = (x: Tensor): Tensor => apply(op, [x], {})[0];
