import type { Tensor } from "../graph/node.ts";
import { noiseFor, trace } from "../graph/trace.ts";
import { dropout as dropoutOp } from "../ops/dropout.ts";
import { checkNumber, checkOptions } from "../util/errors.ts";
import { type LayerOptions, layerKinds, scope } from "./scope.ts";
import { checkInput, passOf } from "./weights.ts";

export interface DropoutLayerOptions extends LayerOptions {
  /** Also in predictions (but not in mode "mean"): Monte-Carlo dropout (Gal and Ghahramani 2016). Default false. */
  readonly always?: boolean;
}

/**
 * Inverted dropout in training, nothing otherwise; with `always` in predictions too, which then draw another mask for each
 * image and sample. The mask is a function of (seed, step, example, sample).
 * @param x [batch, ..., channels]
 * @param rate share of the elements that become 0, in [0, 1)
 * @returns x's shape, or [samples * batch, ..., channels] where it is the first to draw
 * @throws BayesError for a rate outside of it
 */
export function dropout(x: Tensor, rate: number, options: DropoutLayerOptions = {}): Tensor {
  const own = checkOptions<DropoutLayerOptions>("dropout", options, { ...layerKinds, always: "boolean" });
  const { always = false } = own;
  checkNumber("dropout", "rate", rate, 0, 0.999999);
  checkInput("dropout", x);
  return scope(
    "dropout",
    own,
    (name) => {
      const on = rate > 0 && (trace().training || (always && passOf().draws));
      return on ? dropoutOp(x, rate, noiseFor(name)) : x;
    },
    always ? "always on" : "",
  );
}
