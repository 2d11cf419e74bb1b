import { apply, type Tensor } from "../graph/node.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const gradOp = elementwiseOp("sigma2FromRhoGrad");
const op = elementwiseOp("sigma2FromRho", {
  grad: ([dy], { inputs: [rho] }) => [apply(gradOp, [dy!, rho], {})[0]],
  onnx(ctx, _node, [rho]) {
    const sigma = ctx.emit("Softplus", [rho]);
    return ctx.emit("Mul", [sigma, sigma]);
  },
  flops: (node) => 20 * node.outputs[0].size,
});

/** sigma^2 = softplus(rho)^2, the variance of the posterior N(mu, softplus(rho)^2); finite for rho in [-100, 100]. */
export const sigma2FromRho = (rho: Tensor): Tensor => apply(op, [rho], {})[0];
