import { checkNumber } from "../errors.ts";
import { apply, type Op, type Tensor } from "../graph/node.ts";
import { checkFloats } from "./elementwise.ts";

export type ScaleMixture = { readonly pi: number; readonly sigma1: number; readonly sigma2: number };

const gradOp: Op<ScaleMixture> = { name: "logScaleMixtureSumGrad", infer: ([, w]) => [w] };
const op: Op<ScaleMixture> = {
  name: "logScaleMixtureSum",
  infer(inputs, { pi, sigma1, sigma2 }) {
    checkFloats("logScaleMixtureSum", inputs);
    checkNumber("logScaleMixtureSum", "pi", pi, 0, 1);
    checkNumber("logScaleMixtureSum", "sigma1", sigma1, 1e-10, 1e10);
    checkNumber("logScaleMixtureSum", "sigma2", sigma2, 1e-10, 1e10);
    return [{ shape: [], dtype: "f32" }];
  },
  grad: ([dy], { inputs: [w], attrs }) => [apply(gradOp, [dy!, w], attrs)[0]],
  flops: (node) => 40 * node.inputs[0].size,
};

/**
 * Sum over all weights of ln(pi N(w; 0, sigma1^2) + (1 - pi) N(w; 0, sigma2^2)), in nats, by log-sum-exp: the scale-mixture
 * prior of Blundell et al. 2015, eq. 7. sigma1 and sigma2 are standard deviations.
 * @returns scalar f32 []
 */
export const logScaleMixtureSum = (w: Tensor, mixture: ScaleMixture): Tensor => apply(op, [w], { ...mixture })[0];
