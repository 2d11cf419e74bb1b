import { each, klPerWeight, sigmaOfAlpha, sigmaOfRho, type Values } from "../bayes/formulas.ts";
import type { KnownMoments } from "../bayes/prior.ts";
import { type Shape, sizeOf } from "../graph/node.ts";
import type { Store } from "../graph/store.ts";
import { BayesError } from "../util/errors.ts";

/**
 * How much a weight matters; the smallest go first.
 * - `magnitude`: |mu| (|w| of a plain weight).
 * - `snr`: signal to noise, |mu| / sigma (Graves 2011; Blundell et al. 2015, section 5.2).
 * - `kl`: the weight's share of KL(posterior || prior) in nats: what the data taught it.
 */
export type ScoreName = "magnitude" | "snr" | "kl";
export const scoreNames: readonly ScoreName[] = ["magnitude", "snr", "kl"];

/** |mu| of each weight. */
export const magnitude = (mu: Values): Float64Array => each(mu.length, (i) => Math.abs(mu[i]));

/** |mu| / sigma of each weight; 0 where mu is 0. */
export const signalToNoise = (mu: Values, sigma: Values): Float64Array =>
  each(mu.length, (i) => (mu[i] === 0 ? 0 : Math.abs(mu[i]) / sigma[i]));

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
