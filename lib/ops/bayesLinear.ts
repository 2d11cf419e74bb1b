import { arithmetic, type Noise } from "../graph/trace.ts";
import {
  type BayesWeights,
  bayesChannels,
  bayesGradTypes,
  bayesInputs,
  bayesTypes,
  type ConvAttrs,
  lrtOnnx,
  multiplied,
  type NoiseAttrs,
  taps,
} from "./shared/conv.ts";
import { apply, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";

type Attrs = NoiseAttrs & Pick<ConvAttrs, "bias" | "precision">;

const gradOp: Op<Attrs> = {
  name: "bayesLinearGrad", // dy, r, x, mu, sigma2 -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
  activates: "backward",
  infer: bayesGradTypes,
  flops: ({ inputs: [, , x, mu] }) => 8 * x.shape[0] * mu.size,
};

const op: OnnxOp<Attrs> = {
  name: "bayesLinear", // x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r = dy/dv
  activates: "forward",
  infer: (inputs, attrs) => bayesTypes("bayesLinear", inputs, attrs, (mu) => multiplied("bayesLinear", inputs[0], mu)),
  grad([dy], { inputs: [x, mu, sigma2], outputs: [, r], attrs }) {
    return dy ? apply(gradOp, [dy, r, x, mu, sigma2], attrs) : [];
  },
  onnx(ctx, node, names) {
    const { attrs, inputs: [x, mu, sigma2] } = node; // biome-ignore format: short
    const mean = ctx.emit("Gemm", [names[0], ctx.weight(mu), ...(attrs.bias > 0 ? [names[3]] : [])]);
    const square = ctx.emit("Mul", [names[0], names[0]]);
    const variance = ctx.emit("Gemm", [square, ctx.weight(sigma2), ...(attrs.bias > 1 ? [names[4]] : [])]);
    return lrtOnnx(ctx, node, x.shape[0], mean, variance);
  },
  channels: (flow, node) => bayesChannels(flow, node, { reads: 0, makes: 1 }),
  flops: ({ inputs: [x, mu] }) => 4 * taps([x.shape[0], mu.shape[1]], mu.shape),
};

/**
 * A linear layer whose weights are Gaussian, by local reparameterization; see {@link bayesConv2d}.
 * @param x [B, in] (moments are computed once for all samples) or [samples * B, in]
 * @param weights mu, sigma2 [in, out]; biasMu, biasSigma2 [out]
 * @param noise of this node: noiseFor(name)
 * @returns [samples * B, out], sample by sample
 */
export function bayesLinear(x: Tensor, weights: BayesWeights, noise: Noise): Tensor {
  const [inputs, bias] = bayesInputs("bayesLinear", x, weights, noise);
  const { stream, samples } = noise;
  return apply(op, inputs, { bias, stream, samples, ...arithmetic() })[0];
}
