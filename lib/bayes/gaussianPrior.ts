import { types } from "node:util";
import { constant, type Tensor } from "../graph/node.ts";
import { parameter, trace } from "../graph/trace.ts";
import { klGaussian, klGaussianAlpha, logNormalSum } from "../ops/index.ts";
import { checkArray, copyOf } from "../util/arrays.ts";
import { BayesError, checkNumber, checkOptions, fail } from "../util/errors.ts";
import type { Prior } from "./prior.ts";

export interface GaussianPriorOptions {
  /**
   * The prior's mean: a number; "tied" (the posterior's own mean, so that only sigma is regularised); "initial" (what the
   * posterior's means began with, such as the weights that `toBayesian` or `importWeights` put there: kept beside them, as
   * `name/prior`, and saved with the model); or values by the weight's name, which are the caller's to keep.
   */
  readonly mean?: number | "tied" | "initial" | ReadonlyMap<string, Float32Array>;
  /** The prior's standard deviation, > 0: one, or values by the weight's name. */
  readonly sigma?: number | ReadonlyMap<string, Float32Array>;
}

/**
 * The Gaussian prior N(mean, sigma^2), independent over weights, with the closed form
 * KL(q||p) = sum[ln(sp/s) + (s^2 + (mu - mp)^2) / (2 sp^2) - 1/2]. Defaults: N(0, 0.1^2), the reference implementation's.
 */
export function gaussianPrior(options: GaussianPriorOptions = {}): Prior {
  const given = checkOptions("gaussianPrior", options, { mean: "number|string|object", sigma: "number|object" });
  const mean = typeof given.mean === "object" ? copied("the mean", given.mean) : (given.mean ?? 0);
  const sigma = typeof given.sigma === "object" ? copied("sigma", given.sigma, ...SIGMAS) : (given.sigma ?? 0.1);
  if (typeof mean === "string" && mean !== "tied" && mean !== "initial")
    fail("gaussianPrior", 'the mean as a number, "tied", "initial" or a Map', mean);
  if (typeof mean === "number") checkNumber("gaussianPrior", "the mean", mean);
  if (typeof sigma === "number") checkNumber("gaussianPrior", "sigma", sigma, ...SIGMAS);
  const per = (values: ReadonlyMap<string, Float32Array>, weight: string, count: number): Float32Array => {
    const v = values.get(weight);
    if (v?.length === count) return v;
    throw new BayesError(`[gaussianPrior] expected ${count} values for ${weight}, received ${v?.length ?? "none"}`);
  };
  const meanOf = (mu: Tensor, weight: string) => {
    if (mean === "initial") return initialMean(mu, weight);
    return typeof mean === "object" ? constant(per(mean, weight, mu.size), mu.shape) : mean;
  };
  const sigmaOf = (mu: Tensor, weight: string) =>
    typeof sigma === "object" ? constant(per(sigma, weight, mu.size), mu.shape) : sigma;
  const show = (x: unknown) => (typeof x === "object" ? "given" : String(x));
  return Object.freeze<Prior>({
    name: `gaussian(${show(mean)}, ${show(sigma)})`,
    klRho: (mu, rho, weight, mask) =>
      klGaussian(mu, rho, { priorMean: meanOf(mu, weight), priorSigma: sigmaOf(mu, weight), mask }),
    ...(typeof mean === "number" && typeof sigma === "number"
      ? {
          klAlpha: (mu: Tensor, logAlpha: Tensor, _weight: string, mask?: Tensor) =>
            klGaussianAlpha(mu, logAlpha, { priorMean: mean, priorSigma: sigma, mask }),
        }
      : {}),
    logDensity: (w, mu, weight, mask) => {
      const m = meanOf(mu, weight);
      return logNormalSum(w, m === "tied" ? mu : m, sigmaOf(mu, weight), mask);
    },
    moments: (weight, count) => ({
      mean: typeof mean === "object" ? per(mean, weight, count).slice() : mean,
      sigma: typeof sigma === "object" ? per(sigma, weight, count).slice() : sigma,
    }),
  });
}

/** What the mean of a posterior began with, in a slot of its own. */
function initialMean(mu: Tensor, weight: string): Tensor {
  const { leaf } = mu.node;
  if (leaf?.kind !== "store")
    throw new BayesError(
      `[gaussianPrior] expected a posterior whose mean is a parameter, received another of ${weight}`,
    );
  const { store } = trace();
  return parameter(`${weight}/prior`, mu.shape, () => store.get(leaf.name), { trainable: false, share: true });
}

const SIGMAS = [1e-10, 1e10] as const;

/** The caller's values by weight, his no more, each a finite number in [min, max]. */
function copied(what: string, given: unknown, min?: number, max?: number): ReadonlyMap<string, Float32Array> {
  if (!types.isMap(given)) fail("gaussianPrior", "values by weight as a Map", given);
  return new Map(
    [...given].map(([weight, values]) => {
      const own = copyOf(checkArray("gaussianPrior", `the values for ${weight}`, values, "Float32Array"));
      for (let i = 0; i < own.length; i++)
        if (!(own[i] >= (min ?? -Infinity) * (1 - 1e-6) && own[i] <= (max ?? Infinity)) || !Number.isFinite(own[i]))
          checkNumber("gaussianPrior", `${what} of ${weight} at ${i}`, own[i], min, max);
      return [String(weight), own];
    }),
  );
}
