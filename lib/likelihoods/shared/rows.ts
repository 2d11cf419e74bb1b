import { checkTensors, type Tensor } from "../../graph/node.ts";
import { repeatBatch, reshape, sum } from "../../ops/index.ts";

/** Sums over everything but the rows: [R, ...] to [R]. */
export function perRow(x: Tensor): Tensor {
  checkTensors("perRow", x);
  return sum(reshape(x, [x.shape[0], x.size / x.shape[0]]), 1);
}

/** Targets [B, ...] repeated for each Monte-Carlo sample, in the shape of the output [S * B, ...]. */
export function rowsLike(targets: Tensor, output: Tensor): Tensor {
  checkTensors("rowsLike", targets, output);
  return reshape(repeatBatch(targets, output.shape[0] / targets.shape[0]), output.shape);
}
