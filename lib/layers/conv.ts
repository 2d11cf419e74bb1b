import type { BayesOptions } from "../bayes/settings.ts";
import { settings } from "../bayes/settings.ts";
import { checkInt, fail } from "../errors.ts";
import type { Tensor } from "../graph/node.ts";
import { noiseFor, scope, trace } from "../graph/trace.ts";
import { bayesConv2d as bayesConv2dOp } from "../ops/bayesConv2d.ts";
import type { ConvOptions } from "../ops/conv.ts";
import { conv2d as conv2dOp } from "../ops/conv2d.ts";
import { bayesWeight, drawWeights, perSample, pointWeight } from "./weights.ts";

export interface ConvLayerOptions extends ConvOptions {
  /** Name in checkpoints and errors; default: kind and ordinal. */
  readonly name?: string;
}
export interface PointOptions {
  readonly bias?: boolean;
}

const pair = (k: number | readonly [number, number]): readonly [number, number] => (typeof k === "number" ? [k, k] : k);

function kernelShape(
  where: string,
  x: Tensor,
  filters: number,
  kernel: number | readonly [number, number],
  groups = 1,
) {
  if (x.shape.length !== 4) fail(where, "an input of shape [batch, height, width, channels]", x.shape);
  checkInt(where, "the number of filters", filters, 1);
  const [kh, kw] = pair(kernel).map((k) => checkInt(where, "the kernel size", k, 1));
  const channels = x.shape[3] / groups;
  if (!Number.isInteger(channels)) fail(where, `input channels divisible by ${groups} groups`, x.shape[3]);
  return { shape: [kh, kw, channels, filters], fanIn: kh * kw * channels };
}

/**
 * A convolution with plain weights (parameters `name/weight` [kh, kw, channels / groups, filters] and `name/bias`).
 * @param x [batch, height, width, channels]
 * @returns [batch, height', width', filters]
 */
export function conv2d(
  x: Tensor,
  filters: number,
  kernel: number | readonly [number, number],
  options: ConvLayerOptions & PointOptions = {},
): Tensor {
  return scope("conv2d", options.name, (name) => {
    const { shape, fanIn } = kernelShape(name, x, filters, kernel, options.groups);
    const w = pointWeight(`${name}/weight`, shape, fanIn);
    const b = options.bias === false ? undefined : pointWeight(`${name}/bias`, [filters], fanIn);
    return conv2dOp(x, w, b, options);
  });
}

/**
 * A Bayesian convolution: every weight has a Gaussian posterior. With the local estimator (default) one fused kernel
 * computes y = conv(x, mu) + b_mu + sqrt(conv(x^2, sigma^2) + b_sigma^2) eps, eps ~ N(0, 1) per output activation
 * (Kingma et al. 2015; Shridhar et al. 2019, eq. 4.1). In mode "mean" it is an ordinary convolution with the means.
 * @param x [batch, height, width, channels]
 * @returns [samples * batch, height', width', filters]
 */
export function bayesConv2d(
  x: Tensor,
  filters: number,
  kernel: number | readonly [number, number],
  options: ConvLayerOptions & BayesOptions = {},
): Tensor {
  return scope("bayesConv2d", options.name, (name) => {
    const t = trace();
    const s = settings({ ...t.bayes, ...pick(options) });
    const { shape, fanIn } = kernelShape(name, x, filters, kernel, options.groups);
    const w = bayesWeight(`${name}/weight`, shape, fanIn, s);
    const b = s.bias === "bayesian" ? bayesWeight(`${name}/bias`, [filters], fanIn, s) : undefined;
    const point = s.bias === "point" ? pointWeight(`${name}/bias`, [filters], fanIn) : undefined;
    if (t.mode === "mean") return conv2dOp(x, w.mu, b?.mu ?? point, options);
    if (s.estimator === "local")
      return bayesConv2dOp(
        x,
        { mu: w.mu, sigma2: w.sigma2, biasMu: b?.mu ?? point, biasSigma2: b?.sigma2 },
        noiseFor(name),
        options,
      );
    const weights = drawWeights(w);
    const biases = b && drawWeights(b);
    return perSample(x, (part, i) => conv2dOp(part, weights[i], biases?.[i] ?? point, options));
  });
}

/** The Bayesian part of a layer's options (undefined entries left out, so that they do not hide the model's). */
export function pick(o: BayesOptions): BayesOptions {
  const { posterior, prior, estimator, kl, bias } = o;
  return Object.fromEntries(
    Object.entries({ posterior, prior, estimator, kl, bias }).filter(([, v]) => v !== undefined),
  );
}
