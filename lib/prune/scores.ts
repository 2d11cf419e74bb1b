import type { KnownMoments } from "../bayes/prior.ts";
import { BayesError } from "../errors.ts";
import { type Shape, sizeOf } from "../graph/node.ts";
import type { Store } from "../graph/store.ts";
import { newArray } from "../util/memory.ts";
import { softplus } from "../util/softplus.ts";

/**
 * How much a weight matters; the smallest go first.
 * - `magnitude`: |mu| (|w| of a plain weight).
 * - `snr`: signal to noise, |mu| / sigma (Graves 2011; Blundell et al. 2015, section 5.2).
 * - `kl`: the weight's share of KL(posterior || prior) in nats: what the data taught it.
 */
export type ScoreName = "magnitude" | "snr" | "kl";
export const scoreNames: readonly ScoreName[] = ["magnitude", "snr", "kl"];

type Values = ArrayLike<number>;

/** `of` each of `count` weights: a plain loop, for `Float64Array.from` makes a list of all values first. */
function each(count: number, of: (i: number) => number): Float64Array {
  const values = newArray("prune", "f64", count);
  for (let i = 0; i < count; i++) values[i] = of(i);
  return values;
}

/** |mu| of each weight. */
export const magnitude = (mu: Values): Float64Array => each(mu.length, (i) => Math.abs(mu[i]));

/** |mu| / sigma of each weight; 0 where mu is 0. */
export const signalToNoise = (mu: Values, sigma: Values): Float64Array =>
  each(mu.length, (i) => (mu[i] === 0 ? 0 : Math.abs(mu[i]) / sigma[i]));

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

/** One weight tensor that can be pruned. */
export interface PrunableWeight {
  /** As the layer calls it: "conv1/weight". */
  readonly name: string;
  readonly shape: Shape;
  readonly count: number;
  /** What the store holds of it: a plain weight, or mu with rho, or mu with log alpha. */
  readonly posterior: "point" | "rho" | "alpha";
  /** Whether one log alpha serves the whole tensor. */
  readonly shared: boolean;
}

/** The weights of the layers (not biases, not normalization), in the order in which they were made. */
export function prunableWeights(store: Store): PrunableWeight[] {
  const found: PrunableWeight[] = [];
  for (const { name: slot, shape, trainable } of store.slots.values()) {
    const name = slot.endsWith("/mu") ? slot.slice(0, -3) : slot;
    if (!trainable || !name.endsWith("/weight")) continue;
    const alpha = store.slots.get(`${name}/logAlpha`);
    const posterior = slot === name ? "point" : alpha ? "alpha" : "rho";
    const count = sizeOf(shape);
    found.push({ name, shape, count, posterior, shared: alpha?.shape.join() === "1" && count > 1 });
  }
  return found;
}

/** Store slot that holds the weight's value or mean. */
export const meanSlot = (w: PrunableWeight): string => (w.posterior === "point" ? w.name : `${w.name}/mu`);

/**
 * The score of every weight of one tensor, from the values in the store.
 * @param prior moments of its prior, for score "kl"
 * @throws BayesError if the score does not exist for such a weight
 */
export function scoreWeight(
  store: Store,
  w: PrunableWeight,
  score: ScoreName,
  prior: KnownMoments | undefined,
): Float64Array {
  const mu = store.get(meanSlot(w));
  if (score === "magnitude") return magnitude(mu);
  if (w.posterior === "point")
    throw new BayesError(
      `[prune ${w.name}] expected score "magnitude" for a weight without a posterior, received "${score}"`,
    );
  const sigma =
    w.posterior === "rho" ? sigmaOfRho(store.get(`${w.name}/rho`)) : sigmaOfAlpha(mu, store.get(`${w.name}/logAlpha`));
  if (score === "snr") {
    if (w.shared)
      throw new BayesError(
        `[prune ${w.name}] expected score "magnitude" or "kl" where all weights share one alpha and so one signal to noise, received "snr"`,
      );
    return signalToNoise(mu, sigma);
  }
  if (!prior)
    throw new BayesError(`[prune ${w.name}] expected a prior with known moments for score "kl", received one without`);
  return klPerWeight(mu, sigma, prior);
}
