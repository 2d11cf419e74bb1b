import type { Tensor } from "../graph/node.ts";

/**
 * A prior over weights. A new prior is one small file: a name for people and checkpoints, and either a closed form
 * against the Gaussian posteriors or a log density (for the sampled KL), or both.
 */
export interface Prior {
  /** "gaussian(0, 0.1)", … printed and kept in checkpoints. */
  readonly name: string;
  /** KL(q || p) in nats, summed over all weights, for q = N(mu, softplus(rho)^2); scalar. Absent: sampled. */
  klRho?(mu: Tensor, rho: Tensor, weight: string): Tensor;
  /** The same for q = N(mu, alpha mu^2) with alpha = exp(logAlpha) (per weight, or one). */
  klAlpha?(mu: Tensor, logAlpha: Tensor, weight: string): Tensor;
  /** Sum over all weights of log p(w), in nats; scalar. */
  logDensity?(w: Tensor, mu: Tensor, weight: string): Tensor;
}
