import { BayesError, checkInt, fail } from "../util/errors.ts";
import { bernoulli } from "./bernoulli.ts";
import { categorical } from "./categorical.ts";
import { gaussian } from "./gaussian.ts";
import { laplace } from "./laplace.ts";
import { type Likelihood, type LikelihoodConfig, ours } from "./shared/likelihood.ts";

/** Every likelihood that can be made again from its configuration. */
const makers: Readonly<Record<string, (options: never) => Likelihood>> = {
  categorical: ({ classes, ...options }: { classes: number | readonly string[] }) => categorical(classes, options),
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

const METHODS = [
  "targetShape",
  "targets",
  "informed",
  "agrees",
  "nll",
  "counts",
  "heads",
  "prediction",
  "metrics",
  "summary",
] as const satisfies readonly (keyof Likelihood)[];

/** Throws unless `value` is a likelihood, of this library or with a kind of its own. */
export function checkLikelihood(where: string, value: Likelihood): void {
  const wanted = "a likelihood, such as categorical(10) or gaussian()";
  if (typeof value === "function") fail(where, `${wanted}, with its brackets`, value);
  if (typeof value !== "object" || value === null || Array.isArray(value)) fail(where, wanted, value);
  const kind = (value as unknown as LikelihoodConfig).kind;
  if (typeof kind === "string" && value.nll === undefined)
    throw new BayesError(`[${where}] expected ${wanted}, received a configuration; likelihoodOf makes one of it`);
  if (typeof value.config?.kind !== "string") fail(where, `${wanted}, with a config that has a kind`, value.config);
  const { config, figures, outputs } = value;
  if (likelihoodNames.includes(config.kind) && !ours.has(value))
    fail(where, `a kind in config other than ${likelihoodNames.join(", ")} for a likelihood of your own`, config.kind);
  for (const method of METHODS)
    if (typeof value[method] !== "function")
      fail(where, `likelihood ${config.kind} to have a method ${method}`, value[method]);
  if (!Array.isArray(figures) || !figures.some((f) => f?.name === "nll"))
    fail(where, `likelihood ${config.kind} to have figures, "nll" among them`, figures);
  checkInt(where, `outputs of likelihood ${config.kind}`, outputs, 1);
}
