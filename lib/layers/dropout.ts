import type { Tensor } from "../graph/node.ts";
import { noiseFor, scope, trace } from "../graph/trace.ts";
import { dropout as dropoutOp } from "../ops/dropout.ts";

/** Inverted dropout in training, nothing otherwise. The mask is a function of (seed, step, example, sample). */
export function dropout(x: Tensor, rate: number, options: { readonly name?: string } = {}): Tensor {
  return scope("dropout", options.name, (name) => (trace().training ? dropoutOp(x, rate, noiseFor(name)) : x));
}
