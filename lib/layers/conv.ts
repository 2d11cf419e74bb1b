import type { BayesOptions } from "../bayes/settings.ts";
import type { Tensor } from "../graph/node.ts";
import * as ops from "../ops/index.ts";
import type { ConvOptions, ConvTransposeOptions } from "../ops/shared/conv.ts";
import type { Pair } from "../ops/shared/window.ts";
import { checkOptions, fail } from "../util/errors.ts";
import { type LayerOptions, widthOf } from "./scope.ts";
import {
  bayesKinds,
  bayesLayer,
  checkInput,
  checkKernel,
  type LayerShape,
  type PointOptions,
  pointKinds,
  pointLayer,
} from "./weights.ts";

export interface ConvLayerOptions extends ConvOptions, LayerOptions {}
export interface ConvTransposeLayerOptions extends ConvTransposeOptions, LayerOptions {}

const geometry = {
  stride: "number|object",
  padding: "number|object|string",
  dilation: "number|object",
  groups: "number",
  exact: "boolean",
};
const transposedGeometry = { ...geometry, padding: "number|object", outputPadding: "number|object" };

/** What both kinds of convolution look at. */
function sides(where: string, x: Tensor, filters: number, kernel: Pair, { groups = 1 }: Pick<ConvOptions, "groups">) {
  const [, , , channels] = checkInput(where, x, 4, "[batch, height, width, channels]");
  const [kh, kw] = checkKernel(where, filters, kernel, groups);
  return { kh, kw, channels, groups, fanIn: (kh * kw * channels) / groups };
}

function convolve(where: string, x: Tensor, filters: number, kernel: Pair, given: ConvOptions): LayerShape {
  const outputs = widthOf(where, filters);
  // a depthwise layer that was shrunk has as many groups as filters left
  const options = given.groups === filters ? { ...given, groups: outputs } : given;
  const { kh, kw, channels, groups, fanIn } = sides(where, x, filters, kernel, options);
  if (channels % groups) fail(where, `input channels divisible by ${groups} groups`, channels);
  return {
    weight: [kh, kw, channels / groups, outputs],
    outputs,
    fanIn,
    point: (input, w, b) => ops.conv2d(input, w, b, options),
    local: (input, weights, noise) => ops.bayesConv2d(input, weights, noise, options),
  };
}

function transpose(where: string, x: Tensor, filters: number, kernel: Pair, options: ConvTransposeOptions): LayerShape {
  const { kh, kw, channels, groups, fanIn } = sides(where, x, filters, kernel, options);
  if (filters % groups) fail(where, `filters divisible by ${groups} groups`, filters);
  const outputs = widthOf(where, filters);
  return {
    weight: [kh, kw, outputs / groups, channels],
    outputs,
    fanIn,
    point: (input, w, b) => ops.convTranspose2d(input, w, b, options),
    local: (input, weights, noise) => ops.bayesConvTranspose2d(input, weights, noise, options),
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
  return pointLayer("conv2d", x, own, (name) => convolve(name, x, filters, kernel, own));
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
  return bayesLayer("bayesConv2d", x, own, (name) => convolve(name, x, filters, kernel, own));
}

/**
 * A transposed convolution with plain weights (`name/weight` [kh, kw, filters / groups, channels] and `name/bias`).
 * @param x [batch, height, width, channels]
 * @returns [batch, height', width', filters], height' = (height - 1) stride - padding + dilation (kh - 1) + outputPadding + 1
 * @throws BayesError for arguments that are not such, or an output without pixels
 */
export function convTranspose2d(
  x: Tensor,
  filters: number,
  kernel: Pair,
  options: ConvTransposeLayerOptions & PointOptions = {},
): Tensor {
  const own = checkOptions("convTranspose2d", options, { ...transposedGeometry, ...pointKinds });
  return pointLayer("convTranspose2d", x, own, (name) => transpose(name, x, filters, kernel, own));
}

/** A Bayesian transposed convolution; see {@link bayesConv2d} and {@link convTranspose2d}. */
export function bayesConvTranspose2d(
  x: Tensor,
  filters: number,
  kernel: Pair,
  options: ConvTransposeLayerOptions & BayesOptions = {},
): Tensor {
  const own = checkOptions("bayesConvTranspose2d", options, { ...transposedGeometry, ...bayesKinds });
  return bayesLayer("bayesConvTranspose2d", x, own, (name) => transpose(name, x, filters, kernel, own));
}
