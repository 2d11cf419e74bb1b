/**
 * Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks"): one number T, found on validation
 * images, that divides all logits. A model that is surer than it is right has T above 1.
 *
 * A Bayesian model predicts a mixture, the mean over its weights of softmax(z / T), and T is the one that makes that mixture
 * likeliest: each sample is tempered, the pooled probabilities are judged (Rahaman and Thiery 2021 show that members made
 * well calibrated each by itself are under-confident together). So a sample is still a distribution: the predictive
 * variance splits into epistemic and aleatoric as before, and an exported graph does the same. Tempering the logarithm of the
 * mean instead would keep the order of the classes exactly, and lose both.
 */
import { setImmediate } from "node:timers/promises";
import type { AnyDataset } from "../data/dataset.ts";
import type { Likelihood } from "../likelihoods/shared/likelihood.ts";
import { checkModel, type Model, temperedBy } from "../models/model.ts";
import { fail } from "../util/errors.ts";
import { evaluate, type PredictOptions } from "./predict.ts";

/** What {@link fitTemperature} found. */
export interface FittedTemperature {
  /** Above 1: the model was surer than it was right. */
  readonly temperature: number;
  /** Negative log-likelihood of the validation images in nats an image, at temperature 1 and at this one. */
  readonly nll: { readonly before: number; readonly after: number };
  /** Validation images. */
  readonly count: number;
}

/** Where it is looked for: beyond that, validation images have nothing to say about it. */
const RANGE = [0.05, 20] as const;
const GRID = 13;
const CLOSE = 1e-3;

/**
 * Finds the temperature under which validation images are likeliest, and leaves the model with it: `predict`, `evaluate`,
 * `openRun`, checkpoints and exported probabilities have it from then on. Setting `model.temperature` takes it back, and so
 * does `fit`, which changes the weights that it belongs to; a threshold chosen before goes, for it was one of other certainties.
 *
 * The images must be none of those that the model was trained on, nor of those that it is tested on.
 * @param options of the prediction: as many samples as it will have later
 * @throws BayesError for a likelihood without logits (numbers), or data that do not fit the model
 * @example
 * <!-- setup: import { createModel, embeddedMnist, split } from "bayescnn";
 * const { valid } = split(embeddedMnist().train, { train: 64, valid: 64 }, 1);
 * const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 }); -->
 * ```ts
 * import { fitTemperature } from "bayescnn";
 *
 * const { temperature, nll } = await fitTemperature(model, valid, { samples: 8 });
 * console.log(`T = ${temperature.toFixed(2)}: NLL ${nll.before.toFixed(3)} to ${nll.after.toFixed(3)}`);
 * ```
 */
export async function fitTemperature<L extends Likelihood>(
  model: Model<L>,
  valid: AnyDataset,
  options: PredictOptions = {},
): Promise<FittedTemperature> {
  const where = "fitTemperature";
  checkModel(where, model, { idle: false });
  if (!model.likelihood.tempered)
    fail(where, "a likelihood of logits (categorical, bernoulli)", model.likelihood.config.kind);
  const { prediction, targets } = await evaluate(model, valid, options);
  const { samples, count, shape, outputs } = prediction;
  // undone first where the model has one: the prediction holds what it made of the logits
  const own = model.temperature ?? 1;
  const raw = Object.fromEntries(Object.entries(outputs).map(([name, z]) => [name, z.map((v) => v * own)]));
  const nllAt = async (temperature: number): Promise<number> => {
    await setImmediate(); // other work comes between
    const likelihood = temperedBy(where, model.likelihood, temperature);
    return likelihood.metrics(likelihood.prediction(raw, samples, count, shape), targets).nll;
  };
  const before = await nllAt(1);
  const found = await leastOf(nllAt);
  const temperature = found.value < before ? found.at : 1;
  model.temperature = temperature;
  return { temperature, nll: { before, after: Math.min(before, found.value) }, count };
}

/**
 * The least value of a function of the temperature: a grid of logarithms, and golden sections around its best point. One
 * sample's NLL is convex in 1 / T; that of a mixture need not be, so the grid comes first.
 */
async function leastOf(f: (temperature: number) => Promise<number>): Promise<{ at: number; value: number }> {
  const [low, high] = RANGE.map(Math.log);
  const at = (i: number) => low + ((high - low) * i) / (GRID - 1);
  const values: number[] = [];
  for (let i = 0; i < GRID; i++) values.push(await f(Math.exp(at(i))));
  const best = values.reduce((least, v, i) => (v < values[least] ? i : least), 0);
  const golden = (Math.sqrt(5) - 1) / 2;
  let [a, b] = [at(Math.max(0, best - 1)), at(Math.min(GRID - 1, best + 1))];
  let [c, d] = [b - golden * (b - a), a + golden * (b - a)];
  let [fc, fd] = [await f(Math.exp(c)), await f(Math.exp(d))];
  while (b - a > CLOSE) {
    if (fc < fd) {
      [b, d, fd] = [d, c, fc];
      c = b - golden * (b - a);
      fc = await f(Math.exp(c));
    } else {
      [a, c, fc] = [c, d, fd];
      d = a + golden * (b - a);
      fd = await f(Math.exp(d));
    }
  }
  const [x, value] = fc < fd ? [c, fc] : [d, fd];
  return { at: Math.exp(x), value };
}
