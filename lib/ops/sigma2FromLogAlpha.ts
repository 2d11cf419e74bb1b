import { apply, checkAlpha, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";

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
