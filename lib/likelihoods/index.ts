import { BayesError, fail } from "../errors.ts";
import { bernoulli } from "./bernoulli.ts";
import { categorical } from "./categorical.ts";
import { gaussian } from "./gaussian.ts";
import { laplace } from "./laplace.ts";
import type { Likelihood, LikelihoodConfig } from "./likelihood.ts";

/** Every likelihood that can be made again from its configuration. */
const makers: Readonly<Record<string, (options: never) => Likelihood>> = {
  categorical: ({ classes }: { classes: number | readonly string[] }) => categorical(classes),
  bernoulli,
  gaussian,
  laplace,
};
export const likelihoodNames: readonly string[] = Object.keys(makers);

/**
 * The likelihood of a configuration, as checkpoints and exported models keep it.
 * @throws BayesError for a kind that is not of this library: whoever defined it has to pass the likelihood itself
 */
export function likelihoodOf(config: LikelihoodConfig): Likelihood {
  const { kind, ...options } = config ?? {};
  if (typeof kind !== "string") fail("likelihood", "a configuration with a kind", config);
  if (!Object.hasOwn(makers, kind))
    throw new BayesError(
      `[likelihood] expected one of ${likelihoodNames.join(", ")}, received ${kind.slice(0, 60)}; pass the likelihood itself where it is one of yours`,
    );
  return makers[kind](options as never);
}

/** Throws unless `value` is a likelihood. */
export function checkLikelihood(where: string, value: Likelihood): void {
  if (
    typeof value?.nll !== "function" ||
    typeof value.prediction !== "function" ||
    typeof value.config?.kind !== "string"
  )
    fail(where, "a likelihood, such as categorical(10) or gaussian()", value);
}
