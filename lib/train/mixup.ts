import { constant, type Tensor } from "../graph/node.ts";
import { add, gatherRows, mul, reshape, scale, sub } from "../ops/index.ts";

/**
 * Mixup (Zhang et al. 2018): example i of a batch becomes lam_i x_i + (1 - lam_i) x_j, and its loss lam_i nll(y_i) +
 * (1 - lam_i) nll(y_j), which for classes is the cross-entropy with the mixed target. j is the next example of the batch,
 * the first after the last: the order of an epoch is random, and so is the neighbour, a function of seed and epoch alone.
 * (A batch of one stays as it is.) Images are mixed as they are varied and normalized, each by itself.
 */
export class Mixup {
  readonly #lam: Tensor;
  readonly #next: Tensor;

  /** @param lam f32[B], from mixupWeight */
  constructor(lam: Tensor) {
    const batch = lam.size;
    this.#lam = lam;
    this.#next = constant(Int32Array.from({ length: batch }, (_, i) => (i + 1) % batch));
  }

  /** @param x [B, ...] */
  blend(x: Tensor): Tensor {
    const other = gatherRows(x, this.#next);
    const lam = reshape(this.#lam, [x.shape[0], ...x.shape.slice(1).map(() => 1)]);
    return add(other, mul(sub(x, other), lam));
  }

  /** @param nll of targets [B, ...], times weights [B] */
  loss(nll: (targets: Tensor, weights: Tensor) => Tensor, targets: Tensor, weights: Tensor | undefined): Tensor {
    const theirs = weights && gatherRows(weights, this.#next);
    const [mine, rest] = [this.#lam, scale(this.#lam, -1, 1)];
    return add(
      nll(targets, weights ? mul(mine, weights) : mine),
      nll(gatherRows(targets, this.#next), theirs ? mul(rest, theirs) : rest),
    );
  }
}
