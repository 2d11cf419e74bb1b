import type { Tensor } from "../graph/node.ts";

/**
 * A prior over weights. `mask`, of the weight's shape, is there for a pruned one: 1 for what counts, 0 for what must add
 * exactly nothing (the ops `klGaussian`, `logNormalSum`, … take it). A new prior is one small file: a name for people and checkpoints, and either a closed form
 * against the Gaussian posteriors or a log density (for the sampled KL), or both.
 */
export interface Prior {
  /** "gaussian(0, 0.1)", … printed and kept in checkpoints. */
  readonly name: string;
  /** KL(q || p) in nats, summed over all weights, for q = N(mu, softplus(rho)^2); scalar. Absent: sampled. */
  klRho?(mu: Tensor, rho: Tensor, weight: string, mask?: Tensor): Tensor;
  /** The same for q = N(mu, alpha mu^2) with alpha = exp(logAlpha) (per weight, or one). */
  klAlpha?(mu: Tensor, logAlpha: Tensor, weight: string, mask?: Tensor): Tensor;
  /** Sum over all weights of log p(w), in nats; scalar. */
  logDensity?(w: Tensor, mu: Tensor, weight: string, mask?: Tensor): Tensor;
  /** Its mean and standard deviation for each of the weight's `count` values: where a pruned weight goes back to. */
  moments?(weight: string, count: number): PriorMoments;
}

/**
 * Mean and standard deviation: one for all weights of a tensor, or one each; "tied" is the posterior's own mean, "initial" what
 * the model keeps as `name/prior`.
 */
export interface PriorMoments {
  readonly mean: number | "tied" | "initial" | Float32Array;
  readonly sigma: number | Float32Array;
}

/** The same with the model's own values in place of "initial". */
export interface KnownMoments extends PriorMoments {
  readonly mean: number | "tied" | Float32Array;
}
