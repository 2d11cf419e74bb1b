import type { Tensor } from "../graph/node.ts";
import { scale } from "./scale.ts";
import { type ReduceOptions, sum } from "./sum.ts";

/** Mean over `axes` (default: all, to a scalar of shape []). */
export function mean(x: Tensor, axes?: number | readonly number[], options: ReduceOptions = {}): Tensor {
  const total = sum(x, axes, options);
  return scale(total, total.size / x.size);
}
