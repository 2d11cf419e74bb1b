import type { Noise } from "../graph/trace.ts";
import {
  type BayesWeights, bayesChannels, bayesGradTypes, bayesInputs, bayesTypes, type ConvTransposeAttrs, type ConvTransposeOptions, convOnnx,
  convTransposeAttrs, lrtOnnx, type NoiseAttrs, ONNX_WEIGHT, taps, transposed,
} from "./shared/conv.ts"; // biome-ignore format: short
import { apply, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";

type Attrs = ConvTransposeAttrs & NoiseAttrs;
const where = "bayesConvTranspose2d";

const gradOp: Op<Attrs> = {
  name: "bayesConvTranspose2dGrad", // dy, r, x, mu, sigma2 -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
  infer: bayesGradTypes,
  flops: ({ inputs: [, , x, mu] }) => 8 * taps(x.shape, mu.shape),
};

const op: OnnxOp<Attrs> = {
  name: where, // x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r = dy/dv
  infer: (inputs, attrs) => bayesTypes(where, inputs, attrs, (mu) => transposed(where, inputs[0], mu, attrs)),
  grad([dy], { inputs: [x, mu, sigma2], outputs: [, r], attrs }) {
    return dy ? apply(gradOp, [dy, r, x, mu, sigma2], attrs) : [];
  },
  onnx(ctx, node, names) {
    const { attrs, inputs: [x, mu, sigma2] } = node; // biome-ignore format: short
    const conv = (input: string, w: Tensor, bias: string[]) =>
      ctx.emit("ConvTranspose", [input, ctx.weight(w, ONNX_WEIGHT), ...bias], {
        ...convOnnx(attrs, w.shape),
        output_padding: attrs.outputPadding,
      });
    const mean = conv(names[0], mu, attrs.bias > 0 ? [names[3]] : []);
    const variance = conv(ctx.emit("Mul", [names[0], names[0]]), sigma2, attrs.bias > 1 ? [names[4]] : []);
    return lrtOnnx(ctx, node, x.shape[0], mean, variance);
  },
  channels: (flow, node) => bayesChannels(flow, node, { reads: 3, makes: 2 }),
  flops: ({ inputs: [x, mu] }) => 4 * taps(x.shape, mu.shape),
};

/**
 * A transposed convolution whose weights are Gaussian, by local reparameterization; see {@link bayesConv2d}.
 * @param x [B, H, W, C] (moments are computed once for all samples) or [samples * B, H, W, C]
 * @param weights mu, sigma2 [kh, kw, K / groups, C]; biasMu, biasSigma2 [K]
 * @param noise of this node: noiseFor(name)
 * @returns [samples * B, H', W', K], sample by sample
 * @throws BayesError when shapes, channels and groups do not fit, or no pixel would be left
 */
export function bayesConvTranspose2d(
  x: Tensor,
  weights: BayesWeights,
  noise: Noise,
  options: ConvTransposeOptions = {},
): Tensor {
  const [inputs, bias] = bayesInputs(where, x, weights, noise);
  const { stream, samples } = noise;
  return apply(op, inputs, { ...convTransposeAttrs("bayesConvTranspose2d", options, bias), stream, samples })[0];
}
