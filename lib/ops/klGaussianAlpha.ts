import { apply, type Op, type Tensor } from "../graph/node.ts";
import { type GaussianPriorAttrs, gaussianPriorInputs } from "./gaussianPrior.ts";
import { checkAlpha } from "./sigma2FromLogAlpha.ts";

const gradOp: Op<GaussianPriorAttrs> = { name: "klGaussianAlphaGrad", infer: ([, mu, logAlpha]) => [mu, logAlpha] };
const op: Op<GaussianPriorAttrs> = {
  name: "klGaussianAlpha",
  infer([mu, logAlpha]) {
    checkAlpha("klGaussianAlpha", mu, logAlpha);
    return [{ shape: [], dtype: "f32" }];
  },
  grad: ([dkl], { inputs: [mu, logAlpha], attrs }) => apply(gradOp, [dkl!, mu, logAlpha], attrs),
  flops: (node) => 30 * node.inputs[0].size,
};

/**
 * KL(q || p) in nats, summed over all weights, in closed form, for q = N(mu, alpha mu^2) and p = N(priorMean, priorSigma^2).
 * A weight of exactly zero has no width and an infinite KL: sigma^2 = alpha mu^2 is held at 1e-20 or more, and no gradient
 * flows through it there.
 * @param logAlpha ln alpha: of mu's shape, or [1] for one alpha per layer
 * @param prior numbers only; mean "tied" leaves the mean term out
 * @returns scalar f32 []
 */
export function klGaussianAlpha(
  mu: Tensor,
  logAlpha: Tensor,
  prior: { readonly priorMean?: number | "tied"; readonly priorSigma?: number } = {},
): Tensor {
  return apply(op, [mu, logAlpha], gaussianPriorInputs("klGaussianAlpha", prior).attrs)[0];
}
