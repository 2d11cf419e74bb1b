import type { BayesOptions } from "../bayes/settings.ts";
import type { Tensor } from "../graph/node.ts";
import { bayesConv2d as bayesOp } from "../ops/bayesConv2d.ts";
import { conv2d as pointOp } from "../ops/conv2d.ts";
import type { ConvOptions } from "../ops/shared/conv.ts";
import type { Pair } from "../ops/shared/window.ts";
import { checkOptions, fail } from "../util/errors.ts";
import { type LayerOptions, widthOf } from "./scope.ts";
import {
  type BayesLayerShape,
  bayesKinds,
  bayesLayer,
  checkInput,
  checkKernel,
  type PointOptions,
  pointKinds,
  pointLayer,
} from "./weights.ts";

export interface ConvLayerOptions extends ConvOptions, LayerOptions {}

const geometry = {
  stride: "number|object",
  padding: "number|object|string",
  dilation: "number|object",
  groups: "number",
  exact: "boolean",
};

function shapeOf(where: string, x: Tensor, filters: number, kernel: Pair, options: ConvOptions): BayesLayerShape {
  const { groups = 1 } = options;
  const [, , , channels] = checkInput(where, x, 4, "[batch, height, width, channels]");
  const [kh, kw] = checkKernel(where, filters, kernel, groups);
  const left = widthOf(where, filters);
  if (channels % groups) fail(where, `input channels divisible by ${groups} groups`, channels);
  return {
    weight: [kh, kw, channels / groups, left],
    outputs: left,
    fanIn: (kh * kw * channels) / groups,
    point: (input, w, b) => pointOp(input, w, b, options),
    local: (input, weights, noise) => bayesOp(input, weights, noise, options),
  };
}

/**
 * A convolution with plain weights (parameters `name/weight` [kh, kw, channels / groups, filters] and `name/bias`).
 * @param x [batch, height, width, channels]
 * @returns [batch, height', width', filters]
 * @throws BayesError for arguments that are not such, or an image smaller than the kernel
 */
export function conv2d(
  x: Tensor,
  filters: number,
  kernel: Pair,
  options: ConvLayerOptions & PointOptions = {},
): Tensor {
  const own = checkOptions("conv2d", options, { ...geometry, ...pointKinds });
  return pointLayer("conv2d", x, own, (name) => shapeOf(name, x, filters, kernel, own));
}

/**
 * A Bayesian convolution: every weight has a Gaussian posterior. With the local estimator (default) one fused kernel
 * computes y = conv(x, mu) + b_mu + sqrt(conv(x^2, sigma^2) + b_sigma^2) eps, eps ~ N(0, 1) per output activation
 * (Kingma et al. 2015; Shridhar et al. 2019, eq. 4.1). In mode "mean" it is an ordinary convolution with the means.
 * @param x [batch, height, width, channels]
 * @returns [samples * batch, height', width', filters]
 * @throws BayesError for arguments that are not such, or an image smaller than the kernel
 */
export function bayesConv2d(
  x: Tensor,
  filters: number,
  kernel: Pair,
  options: ConvLayerOptions & BayesOptions = {},
): Tensor {
  const own = checkOptions("bayesConv2d", options, { ...geometry, ...bayesKinds });
  return bayesLayer("bayesConv2d", x, own, (name) => shapeOf(name, x, filters, kernel, own));
}
