import { fail } from "../util/errors.ts";
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
  /** true (default): with a posterior, like the weights; "point": plain numbers; false: none. */
  readonly bias: boolean | "point";
}

export type BayesOptions = Partial<BayesSettings>;

/**
 * All five settings: those given, else the model's, else the defaults.
 * @throws BayesError that names the first wrong one
 */
export function settings(options: BayesOptions = {}, otherwise: BayesOptions = {}): BayesSettings {
  const full: BayesSettings = {
    posterior: options.posterior ?? otherwise.posterior ?? rhoPosterior(),
    prior: options.prior ?? otherwise.prior ?? gaussianPrior(),
    estimator: options.estimator ?? otherwise.estimator ?? "local",
    kl: options.kl ?? otherwise.kl ?? "closed",
    bias: options.bias ?? otherwise.bias ?? true,
  };
  if (typeof full.posterior?.weight !== "function")
    fail("bayes", "posterior as rhoPosterior() or alphaPosterior() makes it", full.posterior);
  if (typeof full.prior?.name !== "string")
    fail("bayes", "prior as gaussianPrior() or scaleMixturePrior() makes it", full.prior);
  const oneOf = (what: string, value: string, allowed: readonly string[]) => {
    if (!allowed.includes(value)) fail("bayes", `${what} to be ${allowed.map((a) => `"${a}"`).join(" or ")}`, value);
  };
  oneOf("estimator", full.estimator, ["local", "weight"]);
  oneOf("kl", full.kl, ["closed", "sampled"]);
  if (typeof full.bias !== "boolean" && full.bias !== "point")
    fail("bayes", 'bias to be true, false or "point"', full.bias);
  return Object.freeze(full);
}
