import { checkTensors, sizeOf, type Tensor } from "../graph/node.ts";
import { fail } from "../util/errors.ts";
import { reshape } from "./reshape.ts";

/** Everything but the batch in one dimension: [N, H, W, C] -> [N, H*W*C], channels fastest. Costs nothing. */
export function flatten(x: Tensor): Tensor {
  checkTensors("flatten", x);
  if (x.shape.length < 1) fail("flatten", "at least one dimension", [...x.shape]);
  return reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))]);
}
