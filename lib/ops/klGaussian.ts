import { type GaussianPriorArgs, type GaussianPriorAttrs, gaussianPriorInputs } from "./shared/gaussianPrior.ts";
import { apply, checkSame, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";

const gradOp: Op<GaussianPriorAttrs> = {
  name: "klGaussianGrad",
  infer: ([, mu, rho]) => [mu, rho],
  lists: () => 1, // one dkl for all
  onto: true,
  flops: (node) => 30 * node.inputs[1].size,
};
const op: OnnxOp<GaussianPriorAttrs> = {
  name: "klGaussian",
  infer(inputs) {
    checkSame("klGaussian", inputs);
    return [{ shape: [], dtype: "f32" }];
  },
  lists: () => 0,
  grad: ([dkl], { inputs, attrs }) => apply(gradOp, [dkl!, ...inputs], attrs),
  onnx(ctx, { attrs }, [mu, rho, ...given]) {
    const mean = attrs.meanInput ? given[0] : ctx.scalar(attrs.priorMean);
    const prior = attrs.sigmaInput ? given[attrs.meanInput ? 1 : 0] : ctx.scalar(attrs.priorSigma);
    const sigma = ctx.emit("Softplus", [rho]);
    const halfSquare = (x: string) => ctx.emit("Mul", [ctx.emit("Mul", [x, x]), ctx.scalar(0.5)]);
    const ratio = ctx.emit("Div", [sigma, prior]);
    const spread = ctx.emit("Sub", [halfSquare(ratio), ctx.emit("Log", [ratio])]);
    const distance = halfSquare(ctx.emit("Div", [ctx.emit("Sub", [mu, mean]), prior]));
    const kl = attrs.tied ? spread : ctx.emit("Add", [spread, distance]);
    const each = ctx.emit("Sub", [kl, ctx.scalar(0.5)]);
    return ctx.emit("ReduceSum", [attrs.masked ? ctx.emit("Mul", [each, given[given.length - 1]]) : each], {
      keepdims: 0,
    });
  },
  flops: (node) => 30 * node.inputs[0].size,
};

/**
 * KL(q || p) in nats, summed over all weights, in closed form, for q = N(mu, softplus(rho)^2) and a Gaussian prior p:
 * sum[ln(sp/s) + (s^2 + (mu - mp)^2) / (2 sp^2) - 1/2]. Stable for rho in [-100, 100]; added up in float64.
 * @param mu f32, any shape
 * @param rho f32 of the same shape
 * @param prior p, and the mask of the weights that count; given as tensors they are constant: no gradient flows into them
 * @returns scalar f32 []
 */
export function klGaussian(mu: Tensor, rho: Tensor, prior: GaussianPriorArgs = {}): Tensor {
  const { attrs, inputs } = gaussianPriorInputs("klGaussian", prior);
  return apply(op, [mu, rho, ...inputs], attrs)[0];
}
