import { apply, type Tensor } from "../graph/node.ts";
import { mean } from "./mean.ts";
import { neg } from "./neg.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const gradOp = elementwiseOp("squaredErrorGrad");
const op = elementwiseOp("squaredError", {
  grad([dloss], { inputs: [prediction, target] }) {
    const d = apply(gradOp, [dloss!, prediction, target], {})[0];
    return [d, neg(d)];
  },
  onnx(ctx, _node, [prediction, target]) {
    const e = ctx.emit("Sub", [prediction, target]);
    return ctx.emit("Mul", [e, e]);
  },
});

/** (prediction - target)^2 per element; both of one shape. */
export const squaredError = (prediction: Tensor, target: Tensor): Tensor => apply(op, [prediction, target], {})[0];

/** Mean of (prediction - target)^2 over all elements: a scalar. */
export const meanSquaredError = (prediction: Tensor, target: Tensor): Tensor => mean(squaredError(prediction, target));
