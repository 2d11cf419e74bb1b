import { type GaussianPriorAttrs, gaussianPriorInputs } from "./shared/gaussianPrior.ts";
import { apply, checkSame, type Op, type Tensor, type TensorType } from "./shared/op.ts";

const gradOp: Op<GaussianPriorAttrs> = {
  name: "logNormalSumGrad",
  infer: ([, w]: readonly TensorType[], { meanInput, sigmaInput }) => Array(1 + +meanInput + +sigmaInput).fill(w),
};
const op: Op<GaussianPriorAttrs> = {
  name: "logNormalSum",
  infer(inputs) {
    checkSame("logNormalSum", inputs);
    return [{ shape: [], dtype: "f32" }];
  },
  grad: ([dy], { inputs, attrs }) => apply(gradOp, [dy!, ...inputs], attrs),
  flops: (node) => 8 * node.inputs[0].size,
};

/**
 * Sum over all weights of ln N(w; mean, sigma^2), in nats; a term of a sampled KL. Gradients flow into w and into a mean
 * and sigma given as tensors. A sigma tensor is held at 1e-10 or more.
 * @param w f32, any shape
 * @param mean a number, or values of w's shape
 * @param sigma standard deviation, > 0: a number, or values of w's shape
 * @param mask 1 for a weight that counts, 0 for one that does not, of w's shape; absent: all count
 * @returns scalar f32 []
 */
export function logNormalSum(w: Tensor, mean: number | Tensor, sigma: number | Tensor, mask?: Tensor): Tensor {
  const { attrs, inputs } = gaussianPriorInputs("logNormalSum", { priorMean: mean, priorSigma: sigma, mask });
  return apply(op, [w, ...inputs], attrs)[0];
}
