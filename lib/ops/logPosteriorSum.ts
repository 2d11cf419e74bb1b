import { type MaskAttrs, maskInput } from "./shared/mask.ts";
import { apply, checkSame, type Op, type Tensor } from "./shared/op.ts";

const gradOp: Op<MaskAttrs> = { name: "logPosteriorSumGrad", infer: ([, sigma2]) => [sigma2] };
const op: Op<MaskAttrs> = {
  name: "logPosteriorSum",
  infer(inputs) {
    checkSame("logPosteriorSum", inputs);
    return [{ shape: [], dtype: "f32" }];
  },
  grad: ([dy], { inputs: [sigma2, , ...mask], attrs }) => [apply(gradOp, [dy!, sigma2, ...mask], attrs)[0]],
  flops: (node) => 20 * node.inputs[0].size,
};

/**
 * Sum over all weights of ln q(w) at the draw w = mu + sigma eps, in nats: -ln sqrt(2 pi) - ln sigma - eps^2 / 2. Written in
 * eps it has no w - mu to cancel, so it stays exact for a sigma far below mu; as a function of the parameters it is the
 * same, mu and all (Blundell et al. 2015, eq. 2). sigma^2 is held at 1e-20 or more.
 * @param sigma2 variance, f32, any shape
 * @param eps the standard normals of the draw, of the same shape; no gradient flows into them
 * @param mask 1 for a weight that counts, 0 for one that does not, of the same shape; absent: all count
 * @returns scalar f32 []
 */
export function logPosteriorSum(sigma2: Tensor, eps: Tensor, mask?: Tensor): Tensor {
  const { attrs, inputs } = maskInput(mask);
  return apply(op, [sigma2, eps, ...inputs], attrs)[0];
}
