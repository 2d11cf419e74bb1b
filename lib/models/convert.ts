/** A trained net becomes a Bayesian one, and back. */
import { rhoPosterior } from "../bayes/posterior.ts";
import type { Prior } from "../bayes/prior.ts";
import { maskName } from "../layers/mask.ts";
import { checkLayers, frozenLayers, isAmong, type LayerTensor, layerNames, layerTensors } from "../layers/names.ts";
import type { Likelihood } from "../likelihoods/shared/likelihood.ts";
import { copyList } from "../util/arrays.ts";
import { checkInt, checkNumber, checkOptions, fail, words } from "../util/errors.ts";
import { inverseSoftplus } from "../util/softplus.ts";
import { forgetChosen } from "./chosen.ts";
import { createModel, type LikelihoodModelConfig, modelNames, type PriorConfig, priorOf } from "./create.ts";
import { checkModel, type LayerChoice, type Model } from "./model.ts";
import { priorConfig } from "./schema.ts";

export interface ToBayesianOptions {
  /**
   * "moped" (default): N(w, 1) around each weight w of the net (Krishnan, Subedar and Tickoo 2020); "tied": N(mu, 0.1^2), which
   * leaves means alone; any other as a configuration, `{ kind: "gaussian", mean: "initial", sigma: 0.05 }` being a narrower
   * one around the weights, or, for a net of one's own, as a prior.
   */
  readonly prior?: "moped" | "tied" | PriorConfig | Prior;
  /** The posterior's standard deviation is delta |w| at first. Default 0.1. */
  readonly delta?: number;
  /** Layers that become Bayesian, by name; "stage1" is all below it. Default: all that are not frozen. */
  readonly bayesian?: readonly string[];
  /** Layers that stay plain and are not trained, by name or by a function that says whether one does. Default none. */
  readonly freeze?: readonly string[] | ((layer: string) => boolean);
  /** Seed of the new model; default that of the net. */
  readonly seed?: number;
}

/** MOPED (Krishnan, Subedar and Tickoo 2020, section 3.1). */
const MOPED: PriorConfig = { kind: "gaussian", mean: "initial", sigma: 1 };
const TIED: PriorConfig = { kind: "gaussian", mean: "tied" };
/** A weight of zero is given this share of the spread that a weight of the layer's size has. */
const LEAST = 0.01;

/**
 * A Bayesian model of a trained frequentist one, with its function, meaning and preprocessing, as the start of a fine-tuning:
 * every weight w becomes a posterior N(w, (delta |w|)^2), with a prior around w (MOPED: model priors with empirical Bayes,
 * Krishnan, Subedar and Tickoo 2020). The layers of the net's own function, `conv2d`, `convTranspose2d` and `linear`, become
 * Bayesian as they stand. The values that a prior has for each weight are tensors of the model and are saved with it.
 *
 * The net stays as it is. Close both when done.
 * @throws BayesError for a net that is Bayesian already (see {@link toFrequentist}), or layers that it does not have
 * @example
 * <!-- setup: import { createModel, embeddedMnist, fit, split, toBayesian } from "bayescnn";
 * const { train, valid } = split(embeddedMnist().train, { train: 640, valid: 64 }, 1);
 * const net = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, bayesian: false }); -->
 * ```ts
 * const bayesian = toBayesian(net, { freeze: ["conv1", "conv2"] });
 * await fit(bayesian, { train, valid }, { epochs: 3, learningRate: 5e-4 });
 * ```
 */
export function toBayesian<L extends Likelihood>(model: Model<L>, options: ToBayesianOptions = {}): Model<L> {
  const where = "toBayesian";
  checkModel(where, model as Model);
  if (model.bayesian)
    fail(
      where,
      "a model without Bayesian layers (toFrequentist(model) gives its means)",
      words(`${model.name} with some`),
    );
  const own = checkOptions<ToBayesianOptions>(where, options, {
    prior: "string|object",
    delta: "number",
    bayesian: "object",
    freeze: "object|function",
    seed: "number",
  });
  const { delta = 0.1, seed = model.seed } = own;
  if (!(checkNumber(where, "delta", delta, 0) > 0)) fail(where, "delta above 0", delta);
  checkInt(where, "the seed", seed, 0);
  const prior = priorFrom(own.prior ?? "moped");
  const made = remade(model, { prior, seed, layers: choice(model, own) });
  carried(model, made);
  spreadOut(made, delta);
  return made;
}

/** Gives every posterior the spread delta |mu|, and a prior that is kept with it the mean mu. */
export function spreadOut({ store }: Pick<Model, "store">, delta = 0.1): void {
  for (const { name, slot, bayesian } of layerTensors(store.slots.values())) {
    if (!bayesian) continue;
    const mu = store.get(slot) as Float32Array;
    store.set(`${name}/rho`, spreads(mu, delta).map(inverseSoftplus));
    if (store.slots.has(`${name}/prior`)) store.set(`${name}/prior`, mu);
  }
}

/**
 * The means of a Bayesian model as a plain one, with the same function, meaning, preprocessing and masks of pruning: it is
 * smaller and predicts in one pass, but does not know what it does not know.
 * @throws BayesError for a model without Bayesian layers
 */
export function toFrequentist<L extends Likelihood>(model: Model<L>): Model<L> {
  const where = "toFrequentist";
  checkModel(where, model as Model);
  if (!model.bayesian) fail(where, "a model with Bayesian layers", words(`${model.name} without`));
  return carried(model, remade(model, { seed: model.seed, layers: { bayesian: false, frozen: model.frozen } }));
}

/** What of a configuration says how the layers treat their weights; the rest is the architecture, and stays. */
const TREATMENT: readonly string[] = ["posterior", "prior", "estimator", "kl", "bias"];

interface Remaking {
  /** Of a Bayesian model. */
  readonly prior?: PriorConfig | Prior;
  readonly seed: number;
  readonly layers: LayerChoice;
}

function remade<L extends Likelihood>(model: Model<L>, { prior, seed, layers }: Remaking): Model<L> {
  const { config, likelihood, preprocess, store } = model;
  const described = prior && priorConfig.safeParse(prior).data;
  if (!modelNames.includes(config.model as string) || config.model !== model.name)
    return model.like({
      seed,
      layers,
      bayes: prior && {
        ...model.bayes,
        posterior: rhoPosterior(),
        prior: described ? priorOf(described) : (prior as Prior),
      },
      config: { ...config, ...(described && { prior: described }) },
    });
  if (prior && !described)
    fail("toBayesian", 'a prior as a configuration ({ kind: "gaussian", … }), which a file can hold', prior);
  const architecture = Object.fromEntries(Object.entries(config).filter(([key]) => !TREATMENT.includes(key)));
  const bayesian = prior !== undefined;
  return createModel({
    ...architecture,
    bayesian,
    ...(bayesian ? { prior: described, bias: config.bias, layers } : { layers: { frozen: layers.frozen } }),
    seed,
    likelihood,
    preprocess,
    device: store.device,
  } as LikelihoodModelConfig<L>);
}

const isConfig = (prior: object): boolean => typeof (prior as { kind?: unknown }).kind === "string";

function priorFrom(prior: NonNullable<ToBayesianOptions["prior"]>): PriorConfig | Prior {
  if (prior === "moped") return MOPED;
  if (prior === "tied") return TIED;
  if (typeof prior === "string") fail("toBayesian", 'the prior "moped", "tied", a configuration or a prior', prior);
  if (!isConfig(prior)) return prior as Prior;
  const parsed = priorConfig.safeParse(prior);
  if (!parsed.success) fail("toBayesian", `a prior as createModel takes it (${parsed.error.issues[0].message})`, prior);
  return parsed.data;
}

/** Which layers become Bayesian, and which are frozen, as lists of names. */
function choice(model: Model<never> | Model, { bayesian, freeze = [] }: ToBayesianOptions): Required<LayerChoice> {
  const where = "toBayesian";
  const slots = [...model.store.slots.values()];
  const frozen = frozenLayers(where, freeze, layerNames(slots));
  const weighted = [...new Set(layerTensors(slots).flatMap((t) => (t.role === "weight" ? [t.layer] : [])))];
  const wanted = bayesian && copyList(where, "bayesian", bayesian);
  if (wanted) checkLayers(where, "bayesian", wanted, weighted);
  const chosen = weighted.filter((layer) => (wanted ? isAmong(wanted, layer) : !frozen.includes(layer)));
  const both = chosen.find((layer) => frozen.includes(layer));
  if (both !== undefined) fail(where, "layers that are Bayesian or frozen, not both", words(both));
  if (chosen.length === 0) fail(where, "a layer that becomes Bayesian", words("all of them in freeze"));
  return { bayesian: chosen.length === weighted.length ? true : chosen, frozen };
}

/** Puts the values of one model into another of the same function. Returns that. */
function carried<L extends Likelihood>(from: Model<L>, to: Model<L>): Model<L> {
  const [source, target] = [from.store, to.store];
  try {
    const values = new Map(layerTensors(source.slots.values()).map((t) => [t.name, t.slot]));
    for (const tensor of layerTensors(target.slots.values())) {
      const slot = values.get(tensor.name);
      if (slot === undefined) fillAbsent(to, tensor);
      else target.set(tensor.slot, source.get(slot));
      const mask = source.slots.get(maskName(tensor.name));
      if (mask) target.define(mask.name, mask.shape, { init: () => source.get(mask.name) });
    }
    for (const name of source.slots.keys())
      if (name.startsWith("likelihood/") && target.slots.has(name)) target.set(name, source.get(name));
    forgetChosen(to, undefined, from);
    return to;
  } catch (error) {
    to.close();
    throw error;
  }
}

/** A layer that had no bias, where its twin has one, gets zeros. */
function fillAbsent({ store }: { readonly store: Model["store"] }, { role, slot, shape }: LayerTensor): void {
  if (role !== "bias")
    fail("toFrequentist", "a model whose layers have the same parameters in both forms", words(slot));
  store.set(slot, new Float32Array(shape[0]));
}

/** delta |w|, and of weights near zero so much as the layer's size allows. */
function spreads(weights: Float32Array, delta: number): Float32Array {
  let squares = 0;
  for (const w of weights) squares += w * w;
  const least = Math.max(1e-6, LEAST * delta * Math.sqrt(squares / weights.length));
  return weights.map((w) => Math.max(least, delta * Math.abs(w)));
}
