import { checkDataset, type Dataset } from "../data/dataset.ts";
import { fail } from "../errors.ts";
import { checkModel, type Model } from "../models/model.ts";
import type { CallOptions } from "./engine.ts";
import { type ClassificationMetrics, classificationMetrics } from "./metrics.ts";
import { Predictor, type SamplingOptions } from "./predictor.ts";
import { type Decomposition, decompose, mutualInformation, predictiveEntropy } from "./uncertainty.ts";

export interface PredictOptions extends SamplingOptions, CallOptions {}

/** What a model says about N images. */
export interface Prediction {
  readonly samples: number;
  readonly count: number;
  readonly classes: number;
  /** [samples, N, classes] */
  readonly logits: Float32Array;
  /** Class probabilities of every Monte-Carlo sample, [samples, N, classes]. */
  readonly sampleProbabilities: Float32Array;
  /** The predictive distribution, [N, classes]: the mean of the samples' probabilities. */
  readonly probabilities: Float32Array;
}

export interface Uncertainty extends Decomposition {
  /** Entropy of the predictive distribution, [N], nats. */
  readonly entropy: Float32Array;
  /** Mutual information between label and weights, [N], nats (the epistemic part of the entropy). */
  readonly mutualInformation: Float32Array;
}

/** Images to predict: [N, H, W, C] pixels as a data set has them. */
export interface Images {
  readonly images: Uint8Array | Float32Array;
  readonly count: number;
  readonly shape: readonly [number, number, number];
}

/** Those of predict() that have calls waiting, by their options: calls alike share launches. */
const predictors = new WeakMap<Model, Map<string, Predictor>>();

/**
 * Predicts by Monte Carlo: all samples of a batch in one launch, the first stochastic layer's mean and variance computed
 * once. The noise of image i is a function of (seed, i, sample), whatever the batching. Any number of calls may be under
 * way at a time, also while `fit` trains the model: they wait for the steps under way and see the parameters as they are
 * between two steps. The compiled programs are kept for later calls; a {@link Predictor} has more options.
 * @throws BayesError when the images do not fit the model
 */
export async function predict(model: Model, data: Images, options: PredictOptions = {}): Promise<Prediction> {
  checkModel("predict", model, { idle: false });
  const { onProgress, signal, ...sampling } = options ?? {};
  const fresh = new Predictor(model, options && { ...sampling, maxQueue: Number.MAX_SAFE_INTEGER });
  const { key } = fresh;
  const known = predictors.get(model) ?? new Map<string, Predictor>();
  predictors.set(model, known);
  const predictor = known.get(key) ?? fresh;
  known.set(key, predictor);
  try {
    return await predictor.predict(data, { onProgress, signal });
  } finally {
    if (predictor.idle && known.get(key) === predictor) known.delete(key);
  }
}

/** Epistemic and aleatoric uncertainty (Kwon et al. 2018), predictive entropy and mutual information of a prediction. */
export function uncertainty(p: Prediction): Uncertainty {
  if (typeof p !== "object" || p === null) fail("uncertainty", "what predict() gives", p);
  const all = [p.sampleProbabilities, p.samples, p.count, p.classes] as const;
  return { ...decompose(...all), entropy: predictiveEntropy(...all), mutualInformation: mutualInformation(...all) };
}

export interface Evaluation extends ClassificationMetrics {
  /** Means over the images of the totals per image. */
  readonly epistemic: number;
  readonly aleatoric: number;
}

/** Predicts a labelled data set and scores the prediction. */
export async function evaluate(
  model: Model,
  data: Dataset,
  options: PredictOptions = {},
): Promise<{ evaluation: Evaluation; prediction: Prediction; uncertainty: Uncertainty }> {
  checkModel("evaluate", model, { idle: false });
  checkDataset("evaluate", data);
  if (data.classes.length !== model.classes) fail("evaluate", `${model.classes} classes`, data.classes.length);
  const prediction = await predict(model, data, options);
  const u = uncertainty(prediction);
  const mean = (x: Float32Array) => x.reduce((a, b) => a + b, 0) / x.length;
  return {
    evaluation: {
      ...classificationMetrics(prediction.probabilities, data.labels),
      epistemic: mean(u.epistemicTotal),
      aleatoric: mean(u.aleatoricTotal),
    },
    prediction,
    uncertainty: u,
  };
}
