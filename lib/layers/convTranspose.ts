import type { BayesOptions } from "../bayes/settings.ts";
import type { Tensor } from "../graph/node.ts";
import { bayesConvTranspose2d as bayesOp } from "../ops/bayesConvTranspose2d.ts";
import { convTranspose2d as pointOp } from "../ops/convTranspose2d.ts";
import type { ConvTransposeOptions } from "../ops/shared/conv.ts";
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

export interface ConvTransposeLayerOptions extends ConvTransposeOptions, LayerOptions {}

const geometry = {
  stride: "number|object",
  padding: "number|object",
  dilation: "number|object",
  groups: "number",
  outputPadding: "number|object",
  exact: "boolean",
};

function shapeOf(
  where: string,
  x: Tensor,
  filters: number,
  kernel: Pair,
  options: ConvTransposeOptions,
): BayesLayerShape {
  const { groups = 1 } = options;
  const [, , , channels] = checkInput(where, x, 4, "[batch, height, width, channels]");
  const [kh, kw] = checkKernel(where, filters, kernel, groups);
  if (filters % groups) fail(where, `filters divisible by ${groups} groups`, filters);
  const left = widthOf(where, filters);
  return {
    weight: [kh, kw, left / groups, channels],
    outputs: left,
    fanIn: (kh * kw * channels) / groups,
    point: (input, w, b) => pointOp(input, w, b, options),
    local: (input, weights, noise) => bayesOp(input, weights, noise, options),
  };
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
  const own = checkOptions("convTranspose2d", options, { ...geometry, ...pointKinds });
  return pointLayer("convTranspose2d", x, own, (name) => shapeOf(name, x, filters, kernel, own));
}

/** A Bayesian transposed convolution; see {@link bayesConv2d} and {@link convTranspose2d}. */
export function bayesConvTranspose2d(
  x: Tensor,
  filters: number,
  kernel: Pair,
  options: ConvTransposeLayerOptions & BayesOptions = {},
): Tensor {
  const own = checkOptions("bayesConvTranspose2d", options, { ...geometry, ...bayesKinds });
  return bayesLayer("bayesConvTranspose2d", x, own, (name) => shapeOf(name, x, filters, kernel, own));
}
