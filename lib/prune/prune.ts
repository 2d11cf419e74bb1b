import { at } from "../bayes/formulas.ts";
import type { KnownMoments } from "../bayes/prior.ts";
import type { Store } from "../graph/store.ts";
import { checkValues } from "../graph/values.ts";
import { maskName } from "../layers/mask.ts";
import { forgetChosen } from "../models/chosen.ts";
import { checkModel, type Model } from "../models/model.ts";
import { priorMoments } from "../models/priors.ts";
import { BayesError, checkOptions, fail } from "../util/errors.ts";
import { inverseSoftplus } from "../util/softplus.ts";
import { meanSlot, type PrunableWeight, prunableWeights, type ScoreName, scoreNames, scoreWeight } from "./scores.ts";
import { type Selection, selectMasks } from "./select.ts";

export interface PruneOptions extends Selection {
  /** Default: "snr" where every weight has a signal-to-noise ratio of its own, else "magnitude". */
  readonly score?: ScoreName;
}

export interface LayerSparsity {
  /** The weight tensor: "conv1/weight". */
  readonly name: string;
  readonly weights: number;
  readonly kept: number;
  /** Share that is pruned. */
  readonly sparsity: number;
}

/** How sparse a model is. Biases and normalization are not counted among the weights, but among the parameters. */
export interface Sparsity {
  readonly layers: readonly LayerSparsity[];
  readonly weights: number;
  readonly kept: number;
  readonly sparsity: number;
  /** Trainable values (a Gaussian weight has two): all, and those that pruning left. */
  readonly parameters: { readonly all: number; readonly kept: number };
}

export interface PruneResult extends Sparsity {
  readonly score: ScoreName;
  readonly scope: "global" | "layer";
}

/** The kinds of {@link PruneOptions}, for `checkOptions`. */
export const pruneKinds = {
  score: "string",
  sparsity: "number",
  threshold: "number",
  scope: "string",
  allowEmpty: "boolean",
} as const;

/**
 * Prunes the weights (not the biases) of the model's layers in place: gives every touched weight tensor a mask in the
 * store, `mask/<weight>`, 1 keep and 0 pruned. Layers multiply mu and sigma^2 by it, and the KL leaves the pruned weights
 * out, in closed form or sampled: a pruned weight's part in any prediction and its share of the KL are exactly zero, and
 * so are the gradients of likelihood and KL with respect to its parameters. The library's optimizers do not touch them
 * either, whatever a moment, a weight decay or a penalty says, so they stay bit for bit as pruning left them. One alpha
 * for a whole layer is learned from the weights that are kept. Checkpoints keep the masks. Programs compiled earlier do
 * not know them (`fit`, `predict` and the exporter compile anew). Pruning again only ever removes more. Temperature and
 * threshold, which were chosen for the weights before, go with a warning.
 *
 * What is left of a pruned weight in the store is its prior, as if the data had said nothing: mu = prior mean, rho =
 * softplus^-1(prior sigma). With a scale-mixture prior, which no Gaussian equals, it is the prior's moments. With
 * N(mu, alpha mu^2) per weight: mu = prior mean, but at least sigma_p / 1024 so that alpha = (sigma_p / mu)^2 is finite;
 * with one alpha per layer: the mu of least KL under that alpha. A plain weight becomes 0.
 *
 * A prior of your own has to heed the mask that it is given (see `Prior`). A weight is what a layer calls "<layer>/weight"; a parameter of that name made by hand must read its mask itself.
 *
 * @throws BayesError for an unknown or unusable score, a sparsity outside [0, 1) or below the one reached, a layer left
 *   with nothing, and a prior that does not heed its mask; the model is then as it was
 */
export function prune(model: Model, options: PruneOptions): PruneResult {
  checkModel("prune", model);
  const own = checkOptions("prune", options, pruneKinds);
  const { store } = model;
  const weights = prunableWeights(store);
  if (weights.length === 0)
    throw new BayesError(`[prune] expected layers with weights, received model ${model.name} without`);
  const { score = defaultScore(weights), scope = "global" } = own;
  if (!scoreNames.includes(score)) fail("prune", `score ${scoreNames.map((s) => `"${s}"`).join(", ")}`, score);
  const priors = priorMoments(model, weights);
  const masks = selectMasks(
    weights.map((w) => ({
      name: w.name,
      scores: scoreWeight(store, w, score, priors.get(w.name)),
      kept: keptOf(store, w),
    })),
    own,
  );
  const before = weights.map((w) => keptOf(store, w));
  const returned = new Map<string, Float32Array>();
  try {
    weights.forEach((w, i) => {
      if (before[i] || masks[i].includes(0)) setMask(store, w, masks[i]);
    });
    priorMoments(model, weights); // a trace: a prior of the user's own may refuse
    for (const [i, w] of weights.entries())
      for (const [slot, data] of returnedToPrior(store, w, masks[i], priors.get(w.name))) {
        checkValues(`prune: ${slot}`, "finite", data, "ERR_BAYES_NUMERIC");
        returned.set(slot, data);
      }
  } catch (error) {
    weights.forEach((w, i) => {
      setMask(store, w, before[i]);
    });
    throw error;
  }
  for (const [slot, data] of returned) store.set(slot, data);
  if (masks.some((mask, i) => mask.some((m, j) => m !== (before[i]?.[j] ?? 1)))) forgetChosen(model);
  return { score, scope, ...sparsity(model) };
}

function setMask(store: Store, w: PrunableWeight, mask: Float32Array | undefined): void {
  const name = maskName(w.name);
  if (mask) {
    store.define(name, w.shape);
    store.set(name, mask);
  } else if (store.slots.has(name)) store.delete(name);
}

/** How sparse the model is now, from its masks. */
export function sparsity(model: Model): Sparsity {
  checkModel("sparsity", model);
  const { store } = model;
  let values = 0;
  const layers = prunableWeights(store).map((w): LayerSparsity => {
    const kept = keptOf(store, w)?.reduce((sum, m) => sum + m, 0) ?? w.count;
    values += (w.count - kept) * (w.posterior === "point" || w.shared ? 1 : 2);
    return { name: w.name, weights: w.count, kept, sparsity: 1 - kept / w.count };
  });
  const weights = layers.reduce((sum, l) => sum + l.weights, 0);
  const kept = layers.reduce((sum, l) => sum + l.kept, 0);
  const all = model.parameterCount;
  return { layers, weights, kept, sparsity: weights ? 1 - kept / weights : 0, parameters: { all, kept: all - values } };
}

const defaultScore = (weights: readonly PrunableWeight[]): ScoreName =>
  weights.every((w) => w.posterior !== "point" && !w.shared) ? "snr" : "magnitude";

const keptOf = (store: Store, w: PrunableWeight): Float32Array | undefined =>
  store.slots.has(maskName(w.name)) ? (store.get(maskName(w.name)) as Float32Array) : undefined;

function returnedToPrior(
  store: Store,
  w: PrunableWeight,
  mask: Float32Array,
  prior: KnownMoments | undefined,
): Map<string, Float32Array> {
  const returned = new Map<string, Float32Array>();
  const mu = store.get(meanSlot(w)) as Float32Array;
  const meanAt = (i: number): number => (!prior || prior.mean === "tied" ? 0 : at(prior.mean, i));
  const sigmaAt = (i: number): number => at(prior!.sigma, i);
  const fill = (values: Float32Array, value: (i: number) => number): Float32Array =>
    values.map((v, i) => (mask[i] === 0 ? value(i) : v));
  const set = (slot: string, value: (i: number) => number) =>
    returned.set(slot, fill(store.get(slot) as Float32Array, value));

  if (!prior || w.posterior !== "alpha") returned.set(meanSlot(w), fill(mu, meanAt));
  if (!prior) return returned; // a plain weight, or a prior that does not say
  if (w.posterior === "rho") set(`${w.name}/rho`, (i) => inverseSoftplus(sigmaAt(i)));
  if (w.posterior !== "alpha") return returned;
  if (w.shared) {
    // where the derivative of -ln|mu| + (alpha mu^2 + (mu - m)^2) / (2 s^2) is zero
    const one = 1 + Math.exp(store.get(`${w.name}/logAlpha`)[0]);
    return returned.set(
      meanSlot(w),
      fill(mu, (i) => (meanAt(i) + Math.hypot(meanAt(i), 2 * Math.sqrt(one) * sigmaAt(i))) / (2 * one)),
    );
  }
  const place = (i: number): number => (Math.abs(meanAt(i)) > sigmaAt(i) / 1024 ? meanAt(i) : sigmaAt(i) / 1024);
  returned.set(meanSlot(w), fill(mu, place));
  return set(`${w.name}/logAlpha`, (i) => 2 * Math.log(sigmaAt(i) / Math.abs(place(i))));
}
