import type { BayesOptions } from "../bayes/settings.ts";
import { settings } from "../bayes/settings.ts";
import { checkInt, fail } from "../errors.ts";
import type { Tensor } from "../graph/node.ts";
import { noiseFor, scope, trace } from "../graph/trace.ts";
import { bayesConvTranspose2d as bayesOp } from "../ops/bayesConvTranspose2d.ts";
import type { ConvTransposeOptions } from "../ops/conv.ts";
import { convTranspose2d as pointOp } from "../ops/convTranspose2d.ts";
import { type PointOptions, pick } from "./conv.ts";
import { bayesWeight, drawWeights, perSample, pointWeight } from "./weights.ts";

export interface ConvTransposeLayerOptions extends ConvTransposeOptions {
  readonly name?: string;
}

function kernelShape(
  where: string,
  x: Tensor,
  filters: number,
  kernel: number | readonly [number, number],
  groups = 1,
) {
  if (x.shape.length !== 4) fail(where, "an input of shape [batch, height, width, channels]", x.shape);
  checkInt(where, "the number of filters", filters, 1);
  const [kh, kw] = (typeof kernel === "number" ? [kernel, kernel] : kernel).map((k) =>
    checkInt(where, "the kernel size", k, 1),
  );
  if (filters % groups) fail(where, `filters divisible by ${groups} groups`, filters);
  return { shape: [kh, kw, filters / groups, x.shape[3]], fanIn: (kh * kw * x.shape[3]) / groups };
}

/**
 * A transposed convolution with plain weights (`name/weight` [kh, kw, filters / groups, channels] and `name/bias`).
 * @param x [batch, height, width, channels]
 * @returns [batch, height', width', filters], height' = (height - 1) stride - padding + dilation (kh - 1) + outputPadding + 1
 */
export function convTranspose2d(
  x: Tensor,
  filters: number,
  kernel: number | readonly [number, number],
  options: ConvTransposeLayerOptions & PointOptions = {},
): Tensor {
  return scope("convTranspose2d", options.name, (name) => {
    const { shape, fanIn } = kernelShape(name, x, filters, kernel, options.groups);
    const w = pointWeight(`${name}/weight`, shape, fanIn);
    return pointOp(x, w, options.bias === false ? undefined : pointWeight(`${name}/bias`, [filters], fanIn), options);
  });
}

/** A Bayesian transposed convolution; see {@link bayesConv2d}. */
export function bayesConvTranspose2d(
  x: Tensor,
  filters: number,
  kernel: number | readonly [number, number],
  options: ConvTransposeLayerOptions & BayesOptions = {},
): Tensor {
  return scope("bayesConvTranspose2d", options.name, (name) => {
    const t = trace();
    const s = settings({ ...t.bayes, ...pick(options) });
    const { shape, fanIn } = kernelShape(name, x, filters, kernel, options.groups);
    const w = bayesWeight(`${name}/weight`, shape, fanIn, s);
    const b = s.bias === "bayesian" ? bayesWeight(`${name}/bias`, [filters], fanIn, s) : undefined;
    const point = s.bias === "point" ? pointWeight(`${name}/bias`, [filters], fanIn) : undefined;
    if (t.mode === "mean") return pointOp(x, w.mu, b?.mu ?? point, options);
    if (s.estimator === "local")
      return bayesOp(
        x,
        { mu: w.mu, sigma2: w.sigma2, biasMu: b?.mu ?? point, biasSigma2: b?.sigma2 },
        noiseFor(name),
        options,
      );
    const weights = drawWeights(w);
    const biases = b && drawWeights(b);
    return perSample(x, (part, i) => pointOp(part, weights[i], biases?.[i] ?? point, options));
  });
}
