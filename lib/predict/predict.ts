import { type AnyDataset, checkDataset, type StreamedDataset } from "../data/dataset.ts";
import type { Likelihood, MetricsOf, PredictionOf, Targets } from "../likelihoods/shared/likelihood.ts";
import { checkModel, type Model } from "../models/model.ts";
import { checkOptions } from "../util/errors.ts";
import type { CallOptions } from "./engine.ts";
import { Predictor, type SamplingOptions } from "./predictor.ts";

export interface PredictOptions extends SamplingOptions, CallOptions {}

/** Images to predict: [N, H, W, C] pixels of the kind that the model was trained on. */
export interface Images {
  readonly images: Uint8Array | Float32Array;
  readonly count: number;
  readonly shape: readonly [number, number, number];
}

/** Those of predict() that have calls waiting, by their options: calls alike share launches. */
const predictors = new WeakMap<Model, Map<string, Predictor>>();

/** @internal */
export const PREDICT_OPTIONS: { readonly [K in keyof PredictOptions]-?: string } = {
  samples: "number",
  mode: "string",
  seed: "number",
  precision: "string",
  onProgress: "function",
  signal: "object",
};

/**
 * Predicts by Monte Carlo: all samples of a batch in one launch, the first stochastic layer's mean and variance computed
 * once. The noise of image i is a function of (seed, i, sample), whatever the batching. Pixels are scaled as the model
 * was trained. Any number of calls may be under
 * way at a time, also while `fit` trains the model: they wait for the steps under way and see the parameters as they are
 * between two steps. The compiled programs are kept for later calls; a {@link Predictor} has more options.
 * @returns what the model's likelihood makes of it: class probabilities and how sure they are, numbers and their sigma, …
 * @throws BayesError when the images do not fit the model
 */
export async function predict<L extends Likelihood>(
  model: Model<L>,
  data: Images | StreamedDataset,
  options: PredictOptions = {},
): Promise<PredictionOf<L>> {
  checkModel("predict", model, { idle: false });
  const { onProgress, signal, ...sampling } = checkOptions("predict", options, PREDICT_OPTIONS);
  const fresh = new Predictor(model, { ...sampling, maxQueue: Number.MAX_SAFE_INTEGER });
  const { key } = fresh;
  const known = predictors.get(model) ?? new Map<string, Predictor>();
  predictors.set(model, known);
  const predictor = known.get(key) ?? fresh;
  known.set(key, predictor);
  try {
    return (await predictor.predict(data, { onProgress, signal })) as PredictionOf<L>;
  } finally {
    if (predictor.idle && known.get(key) === predictor) known.delete(key);
  }
}

/** A prediction of a data set with targets, and how good it is. */
export interface EvaluateResult<L extends Likelihood = Likelihood> {
  /** The likelihood's figures: nll, and accuracy, brier, ece, … or rmse, mae, coverage90, … */
  readonly metrics: MetricsOf<L>;
  readonly prediction: PredictionOf<L>;
  /** The set's targets as the model numbers them: classes are matched by name. */
  readonly targets: Targets;
}

/** Predicts a data set with targets and scores the prediction by the model's likelihood. */
export async function evaluate<L extends Likelihood>(
  model: Model<L>,
  data: AnyDataset,
  options: PredictOptions = {},
): Promise<EvaluateResult<L>> {
  checkModel("evaluate", model, { idle: false });
  checkDataset("evaluate", data);
  const targets = model.likelihood.targets("evaluate", data, model.targetShape).slice(); // the caller has the set's
  const prediction = await predict(model, data, options);
  return { metrics: model.likelihood.metrics(prediction, targets) as MetricsOf<L>, prediction, targets };
}
