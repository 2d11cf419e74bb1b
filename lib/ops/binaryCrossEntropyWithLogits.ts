import { apply, type Tensor } from "../graph/node.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const gradOp = elementwiseOp("binaryCrossEntropyWithLogitsGrad");
const op = elementwiseOp("binaryCrossEntropyWithLogits", {
  grad: ([dloss], { inputs: [x, t] }) => [apply(gradOp, [dloss!, x, t], {})[0], neg(mul(dloss!, x))],
  onnx(ctx, _node, [x, t]) {
    const linear = ctx.emit("Sub", [ctx.emit("Relu", [x]), ctx.emit("Mul", [x, t])]);
    const tail = ctx.emit("Softplus", [ctx.emit("Neg", [ctx.emit("Abs", [x])])]);
    return ctx.emit("Add", [linear, tail]);
  },
  flops: (node) => 20 * node.outputs[0].size,
});

/**
 * -t ln sigmoid(x) - (1 - t) ln(1 - sigmoid(x)), in nats per element and stable for any logit; take the `mean` of it.
 * @param logits f32, any shape
 * @param targets f32 of the same shape, in [0, 1]
 */
export const binaryCrossEntropyWithLogits = (logits: Tensor, targets: Tensor): Tensor =>
  apply(op, [logits, targets], {})[0];
