import { BayesError } from "../errors.ts";
import { gaussianPrior } from "./gaussianPrior.ts";
import { type Posterior, rhoPosterior } from "./posterior.ts";
import type { Prior } from "./prior.ts";

/** How the Bayesian layers of a model treat their weights; one setting for a model, or per layer. */
export interface BayesSettings {
  readonly posterior: Posterior;
  readonly prior: Prior;
  /**
   * "local" (default): noise on the activations (local reparameterization, Kingma et al. 2015; Shridhar et al. 2019);
   * "weight": one draw of every weight per Monte-Carlo sample, shared by the batch (Blundell et al. 2015).
   */
  readonly estimator: "local" | "weight";
  /** "closed" (default): closed-form KL where the prior has one; "sampled": log q(w) - log p(w) of one draw (the paper's). */
  readonly kl: "closed" | "sampled";
  /** Biases: a distribution like the weights, a plain number, or none. */
  readonly bias: "bayesian" | "point" | "none";
}

export type BayesOptions = Partial<BayesSettings>;

export function settings(options: BayesOptions = {}): BayesSettings {
  const full: BayesSettings = {
    posterior: options.posterior ?? rhoPosterior(),
    prior: options.prior ?? gaussianPrior(),
    estimator: options.estimator ?? "local",
    kl: options.kl ?? "closed",
    bias: options.bias ?? "bayesian",
  };
  const oneOf = (what: string, value: string, allowed: readonly string[]) => {
    if (!allowed.includes(value))
      throw new BayesError(
        `[bayes] expected ${what} to be ${allowed.map((a) => `"${a}"`).join(" or ")}, received ${JSON.stringify(value)}`,
      );
  };
  oneOf("estimator", full.estimator, ["local", "weight"]);
  oneOf("kl", full.kl, ["closed", "sampled"]);
  oneOf("bias", full.bias, ["bayesian", "point", "none"]);
  return full;
}
