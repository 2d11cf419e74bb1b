import type { BayesOptions } from "../bayes/settings.ts";
import type { Tensor } from "../graph/node.ts";
import { bayesLinear as bayesOp, linear as pointOp } from "../ops/index.ts";
import { checkInt, checkOptions } from "../util/errors.ts";
import { type LayerOptions, widthOf } from "./scope.ts";
import {
  bayesKinds,
  bayesLayer,
  checkInput,
  type LayerShape,
  type PointOptions,
  pointKinds,
  pointLayer,
} from "./weights.ts";

function shapeOf(where: string, x: Tensor, outputs: number): LayerShape {
  const [, fanIn] = checkInput(where, x, 2, "[batch, features] (use flatten first)");
  checkInt(where, "the number of outputs", outputs, 1, 1 << 24);
  const left = widthOf(where, outputs);
  return { weight: [fanIn, left], outputs: left, fanIn, point: pointOp, local: bayesOp };
}

/**
 * A fully connected layer with plain weights (parameters `name/weight` [in, out] and `name/bias`).
 * @param x [batch, in]
 * @param out number of outputs
 * @returns [batch, out]
 * @throws BayesError for arguments that are not such
 */
export function linear(x: Tensor, out: number, options: LayerOptions & PointOptions = {}): Tensor {
  const own = checkOptions("linear", options, pointKinds);
  return pointLayer("linear", x, own, (name) => shapeOf(name, x, out));
}

/**
 * A Bayesian fully connected layer; see {@link bayesConv2d}.
 * @param x [batch, in]
 * @param out number of outputs
 * @returns [samples * batch, out]
 * @throws BayesError for arguments that are not such
 */
export function bayesLinear(x: Tensor, out: number, options: LayerOptions & BayesOptions = {}): Tensor {
  const own = checkOptions("bayesLinear", options, bayesKinds);
  return bayesLayer("bayesLinear", x, own, (name) => shapeOf(name, x, out));
}
