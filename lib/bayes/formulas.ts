/** Gaussian posteriors as plain numbers: their spread, and what they have learned, weight by weight. */
import { newArray } from "../util/memory.ts";
import { softplus } from "../util/softplus.ts";
import type { KnownMoments } from "./prior.ts";

export type Values = ArrayLike<number>;

/** `of` each of `count` weights: a plain loop, for `Float64Array.from` makes a list of all values first. */
export function each(count: number, of: (i: number) => number): Float64Array {
  const values = newArray("prune", "f64", count);
  for (let i = 0; i < count; i++) values[i] = of(i);
  return values;
}

/**
 * KL(N(mu, sigma^2) || N(mean, priorSigma^2)) of each weight in nats, ln(sp / s) + (s^2 + (mu - mp)^2) / (2 sp^2) - 1/2.
 * @param prior mean "tied" is the posterior's own
 */
export function klPerWeight(mu: Values, sigma: Values, prior: KnownMoments): Float64Array {
  return each(mu.length, (i) => {
    const m = mu[i];
    const mean = prior.mean === "tied" ? m : at(prior.mean, i);
    const ratio = sigma[i] / at(prior.sigma, i);
    const shift = (m - mean) / at(prior.sigma, i);
    return (ratio * ratio - 1 + shift * shift) / 2 - Math.log(ratio);
  });
}

/** The i-th of one value for all, or of a value each. */
export const at = (values: number | Values, i: number): number => (typeof values === "number" ? values : values[i]);

/** sigma = softplus(rho). */
export const sigmaOfRho = (rho: Values): Float64Array => each(rho.length, (i) => softplus(rho[i]));

/** sigma = sqrt(alpha) |mu|; log alpha per weight, or one for all. */
export const sigmaOfAlpha = (mu: Values, logAlpha: Values): Float64Array =>
  each(mu.length, (i) => Math.exp((logAlpha.length === 1 ? logAlpha[0] : logAlpha[i]) / 2) * Math.abs(mu[i]));
