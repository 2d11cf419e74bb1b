import { type GaussianPriorAttrs, gaussianPriorInputs } from "./shared/gaussianPrior.ts";
import { apply, checkAlpha, checkSame, type Op, type Tensor } from "./shared/op.ts";

const gradOp: Op<GaussianPriorAttrs> = { name: "klGaussianAlphaGrad", infer: ([, mu, logAlpha]) => [mu, logAlpha] };
const op: Op<GaussianPriorAttrs> = {
  name: "klGaussianAlpha",
  infer([mu, logAlpha, ...mask]) {
    checkAlpha("klGaussianAlpha", mu, logAlpha);
    checkSame("klGaussianAlpha", [mu, ...mask]);
    return [{ shape: [], dtype: "f32" }];
  },
  grad: ([dkl], { inputs, attrs }) => apply(gradOp, [dkl!, ...inputs], attrs),
  flops: (node) => 30 * node.inputs[0].size,
};

/**
 * KL(q || p) in nats, summed over all weights, in closed form, for q = N(mu, alpha mu^2) and p = N(priorMean, priorSigma^2).
 * A weight of exactly zero has no width and an infinite KL: sigma^2 = alpha mu^2 is held at 1e-20 or more, and no gradient
 * flows through it there.
 * @param logAlpha ln alpha: of mu's shape, or [1] for one alpha per layer
 * @param prior numbers only; mean "tied" leaves the mean term out; `mask`: 1 for a weight that counts, 0 for one that does not
 * @returns scalar f32 []
 */
export function klGaussianAlpha(
  mu: Tensor,
  logAlpha: Tensor,
  prior: { readonly priorMean?: number | "tied"; readonly priorSigma?: number; readonly mask?: Tensor } = {},
): Tensor {
  const { attrs, inputs } = gaussianPriorInputs("klGaussianAlpha", prior);
  return apply(op, [mu, logAlpha, ...inputs], attrs)[0];
}
