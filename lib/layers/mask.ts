import { sameShape, type Tensor } from "../graph/node.ts";
import { slotName } from "../graph/roles.ts";
import { trace } from "../graph/trace.ts";
import { mul } from "../ops/mul.ts";

/** The store's name of a weight's pruning mask (1 keep, 0 pruned); there is none until the model is pruned. */
export const maskName = (weight: string): string => slotName("mask", weight);

/** The mask of a weight in the program being traced. */
export function maskOf(weight: string): Tensor | undefined {
  const { store } = trace();
  return store.slots.has(maskName(weight)) ? store.tensor(maskName(weight)) : undefined;
}

/** `t` with an exact 0 wherever the weight is pruned. */
export function masked(weight: string, t: Tensor): Tensor {
  const mask = maskOf(weight);
  return mask ? mul(t, mask) : t;
}

/** The mask of a parameter by its name in the store, "conv1/weight" or "conv1/weight/rho"; one alpha for all has none. */
export function maskOfParameter(name: string, parameter: Tensor): Tensor | undefined {
  const mask = maskOf(name) ?? maskOf(name.slice(0, Math.max(0, name.lastIndexOf("/"))));
  return mask && sameShape(mask.shape, parameter.shape) ? mask : undefined;
}
