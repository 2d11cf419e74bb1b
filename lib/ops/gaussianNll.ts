import { neg } from "./neg.ts";
import { elementwiseOp } from "./shared/elementwise.ts";
import { apply, checkSame, type Op, type Tensor } from "./shared/op.ts";

const gradOp: Op = {
  name: "gaussianNllGrad",
  infer(inputs) {
    const t = checkSame("gaussianNllGrad", inputs);
    return [t, t];
  },
};
const op = elementwiseOp("gaussianNll", {
  grad([dloss], { inputs: [mean, logVar, target] }) {
    const [dmean, dlogVar] = apply(gradOp, [dloss!, mean, logVar, target], {});
    return [dmean, dlogVar, neg(dmean)];
  },
  onnx(ctx, _node, [mean, logVar, target]) {
    const e = ctx.emit("Sub", [target, mean]);
    const precision = ctx.emit("Exp", [ctx.emit("Neg", [logVar])]);
    const distance = ctx.emit("Mul", [ctx.emit("Mul", [e, e]), precision]);
    const twice = ctx.emit("Add", [ctx.emit("Add", [logVar, distance]), ctx.scalar(Math.log(2 * Math.PI))]);
    return ctx.emit("Mul", [twice, ctx.scalar(0.5)]);
  },
  flops: (node) => 15 * node.outputs[0].size,
});

/**
 * -ln N(target; mean, e^logVar) = (ln 2 pi + logVar + (target - mean)^2 e^-logVar) / 2, in nats per element, the constant
 * included; take the `mean` of it, or a sum per example. All three of one shape.
 */
export const gaussianNll = (mean: Tensor, logVar: Tensor, target: Tensor): Tensor =>
  apply(op, [mean, logVar, target], {})[0];
