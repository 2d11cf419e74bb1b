import { checkNumber, checkOptions } from "../errors.ts";
import type { Tensor } from "../graph/node.ts";
import { type LayerOptions, layerKinds, noiseFor, scope, trace } from "../graph/trace.ts";
import { dropout as dropoutOp } from "../ops/dropout.ts";
import { checkInput } from "./weights.ts";

/**
 * Inverted dropout in training, nothing otherwise. The mask is a function of (seed, step, example, sample).
 * @param x [batch, ..., channels]
 * @param rate share of the elements that become 0, in [0, 1)
 * @throws BayesError for a rate outside of it
 */
export function dropout(x: Tensor, rate: number, options: LayerOptions = {}): Tensor {
  const own = checkOptions("dropout", options, layerKinds);
  checkNumber("dropout", "rate", rate, 0, 0.999999);
  checkInput("dropout", x);
  return scope("dropout", own, (name) => (trace().training ? dropoutOp(x, rate, noiseFor(name)) : x));
}
