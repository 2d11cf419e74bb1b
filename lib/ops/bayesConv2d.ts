import type { Noise } from "../graph/trace.ts";
import {
  type BayesWeights, bayesChannels, bayesGradTypes, bayesInputs, bayesTypes, type ConvAttrs, type ConvOptions, convAttrs, convOnnx,
  convolved, lrtOnnx, type NoiseAttrs, ONNX_WEIGHT, taps,
} from "./shared/conv.ts"; // biome-ignore format: short
import { apply, checkTensors, type OnnxOp, type Op, type Tensor } from "./shared/op.ts";

type Attrs = ConvAttrs & NoiseAttrs;

const gradOp: Op<Attrs> = {
  name: "bayesConv2dGrad", // dy, r, x, mu, sigma2 -> dx, dmu, dsigma2, [dbMu], [dbSigma2]
  activates: "backward",
  pools: "backward",
  infer: bayesGradTypes,
  flops: ({ inputs: [, , x, mu], attrs }) => 8 * taps(convolved("bayesConv2d", x, mu, attrs).shape, mu.shape),
};

const op: OnnxOp<Attrs> = {
  name: "bayesConv2d", // x, mu, sigma2, [bMu], [bSigma2], rng, rows -> y, r = dy/dv
  activates: "forward",
  pools: "forward",
  infer: (inputs, attrs) =>
    bayesTypes("bayesConv2d", inputs, attrs, (mu) => convolved("bayesConv2d", inputs[0], mu, attrs)),
  grad([dy], { inputs: [x, mu, sigma2], outputs: [, r], attrs }) {
    return dy ? apply(gradOp, [dy, r, x, mu, sigma2], attrs) : [];
  },
  onnx(ctx, node, names) {
    const { attrs, inputs: [x, mu, sigma2] } = node; // biome-ignore format: short
    const conv = (input: string, w: Tensor, bias: string[]) =>
      ctx.emit("Conv", [input, ctx.weight(w, ONNX_WEIGHT), ...bias], convOnnx(attrs, w.shape));
    const mean = conv(names[0], mu, attrs.bias > 0 ? [names[3]] : []);
    const variance = conv(ctx.emit("Mul", [names[0], names[0]]), sigma2, attrs.bias > 1 ? [names[4]] : []);
    return lrtOnnx(ctx, node, x.shape[0], mean, variance);
  },
  channels: (flow, node) => bayesChannels(flow, node, { reads: 2, makes: 3 }),
  flops: ({ inputs: [x, mu], attrs }) => 4 * taps(convolved("bayesConv2d", x, mu, attrs).shape, mu.shape),
};

/**
 * A convolution whose weights are Gaussian, by local reparameterization (Kingma et al. 2015; Shridhar et al. 2019, eq.
 * 4.1): with m = conv(x, mu) + biasMu and v = conv(x^2, sigma2) + biasSigma2, y = m + sqrt(v) eps, eps ~ N(0, 1) for
 * every output activation. Where v <= 1e-16, y = m.
 * @param x [B, H, W, C] (m and v are computed once for all samples) or [samples * B, H, W, C]
 * @param weights mu, sigma2 [kh, kw, C / groups, K]; biasMu, biasSigma2 [K]
 * @param noise of this node: noiseFor(name)
 * @returns [samples * B, H', W', K], sample by sample
 * @throws BayesError when shapes, channels and groups do not fit, or no pixel would be left
 */
export function bayesConv2d(x: Tensor, weights: BayesWeights, noise: Noise, options: ConvOptions = {}): Tensor {
  const [inputs, bias] = bayesInputs("bayesConv2d", x, weights, noise);
  const { stream, samples } = noise;
  checkTensors("bayesConv2d", ...inputs);
  return apply(op, inputs, {
    ...convAttrs("bayesConv2d", x.shape, inputs[1].shape, options, bias),
    stream,
    samples,
  })[0];
}
