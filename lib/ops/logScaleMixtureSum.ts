import { checkNumber, checkObject } from "../util/errors.ts";
import { type MaskAttrs, maskInput } from "./shared/mask.ts";
import { apply, checkSame, type Op, type Tensor } from "./shared/op.ts";

export type ScaleMixture = { readonly pi: number; readonly sigma1: number; readonly sigma2: number };

const gradOp: Op<ScaleMixture & MaskAttrs> = { name: "logScaleMixtureSumGrad", infer: ([, w]) => [w] };
const op: Op<ScaleMixture & MaskAttrs> = {
  name: "logScaleMixtureSum",
  infer(inputs, { pi, sigma1, sigma2 }) {
    checkSame("logScaleMixtureSum", inputs);
    checkNumber("logScaleMixtureSum", "pi", pi, 0, 1);
    checkNumber("logScaleMixtureSum", "sigma1", sigma1, 1e-10, 1e10);
    checkNumber("logScaleMixtureSum", "sigma2", sigma2, 1e-10, 1e10);
    return [{ shape: [], dtype: "f32" }];
  },
  grad: ([dy], { inputs, attrs }) => [apply(gradOp, [dy!, ...inputs], attrs)[0]],
  flops: (node) => 40 * node.inputs[0].size,
};

/**
 * Sum over all weights of ln(pi N(w; 0, sigma1^2) + (1 - pi) N(w; 0, sigma2^2)), in nats, by log-sum-exp: the scale-mixture
 * prior of Blundell et al. 2015, eq. 7. sigma1 and sigma2 are standard deviations.
 * @param mask 1 for a weight that counts, 0 for one that does not, of w's shape; absent: all count
 * @returns scalar f32 []
 */
export function logScaleMixtureSum(w: Tensor, prior: ScaleMixture, mask?: Tensor): Tensor {
  const { pi, sigma1, sigma2 } = checkObject("logScaleMixtureSum", "a prior { pi, sigma1, sigma2 }", prior);
  const { attrs, inputs } = maskInput(mask);
  return apply(op, [w, ...inputs], { pi, sigma1, sigma2, ...attrs })[0];
}
