import { apply, type Op, sameShape, type Tensor, type TensorType, typeName } from "../graph/node.ts";
import { fail } from "../util/errors.ts";
import { checkFloats } from "./shared/elementwise.ts";
import type { OnnxOp } from "./shared/onnx.ts";

/** Throws unless logAlpha is [1] (one for all weights) or has the shape of mu. */
export function checkAlpha(op: string, mu: TensorType, logAlpha: TensorType): void {
  checkFloats(op, [mu, logAlpha]);
  if (!sameShape(logAlpha.shape, [1]) && !sameShape(logAlpha.shape, mu.shape))
    fail(op, `logAlpha f32[1] or ${typeName(mu)}`, typeName(logAlpha));
}

const gradOp: Op = { name: "sigma2FromLogAlphaGrad", infer: ([, mu, logAlpha]) => [mu, logAlpha] };
const op: OnnxOp = {
  name: "sigma2FromLogAlpha",
  infer([mu, logAlpha]) {
    checkAlpha("sigma2FromLogAlpha", mu, logAlpha);
    return [mu];
  },
  grad: ([dy], { inputs: [mu, logAlpha] }) => apply(gradOp, [dy!, mu, logAlpha], {}),
  onnx: (ctx, _node, [mu, logAlpha]) => ctx.emit("Mul", [ctx.emit("Mul", [mu, mu]), ctx.emit("Exp", [logAlpha])]),
  flops: (node) => 12 * node.outputs[0].size,
};

/**
 * sigma^2 = alpha mu^2, the variance of the posterior N(mu, alpha mu^2) (Kingma et al. 2015; Shridhar et al. 2019, eq. 4.1).
 * @param logAlpha ln alpha: of mu's shape, or [1] for one alpha per layer
 */
export const sigma2FromLogAlpha = (mu: Tensor, logAlpha: Tensor): Tensor => apply(op, [mu, logAlpha], {})[0];
