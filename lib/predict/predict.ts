import { checkDataset, type Dataset } from "../data/dataset.ts";
import { asIs, checkNormalisation, type Normalisation } from "../data/prepare.ts";
import { BayesError, checkInt, checkOptions, fail } from "../errors.ts";
import { compile } from "../graph/compile.ts";
import { checkPrecision, type Precision } from "../graph/trace.ts";
import { checkModel, type Model } from "../models/model.ts";
import { gatherBatch } from "../ops/gatherBatch.ts";
import { checkArray, isSignal } from "../util/arrays.ts";
import { seedKey } from "../util/philox.ts";
import { launchesOf } from "./launches.ts";
import { type ClassificationMetrics, classificationMetrics } from "./metrics.ts";
import {
  type Decomposition,
  decompose,
  meanProbabilities,
  mutualInformation,
  predictiveEntropy,
  softmaxRows,
} from "./uncertainty.ts";

export interface PredictOptions {
  /** Monte-Carlo samples (default 32); a model without Bayesian layers, or mode "mean", takes 1. */
  readonly samples?: number;
  /** "sample" (default): average over posterior draws; "mean": one pass with the posterior means. */
  readonly mode?: "sample" | "mean";
  readonly seed?: number;
  /** Of the products in convolutions and linear layers; default "fp32". */
  readonly precision?: Precision;
  /** Pixel scaling of the training run; default: pixels as they are. */
  readonly normalise?: Normalisation;
  /** Called with the number of images done. */
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

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

/** Noise of predictions has a step of its own, so that it is none of the training's. */
export const PREDICT_STEP = -1;

/**
 * Predicts by Monte Carlo: all samples of a batch in one launch, the first stochastic layer's mean and variance computed
 * once. The noise of image i is a function of (seed, i, sample), whatever the batching.
 * @throws BayesError when the images do not fit the model
 */
export async function predict(model: Model, data: Images, options: PredictOptions = {}): Promise<Prediction> {
  checkModel("predict", model);
  checkOptions("predict", options, {
    samples: "number",
    mode: "string",
    seed: "number",
    precision: "string",
    normalise: "object",
    onProgress: "function",
    signal: "object",
  });
  const { signal } = options;
  const precision = checkPrecision("predict", options.precision);
  if (signal && !isSignal(signal)) fail("predict", "signal as an AbortSignal", signal);
  const seed = checkInt("predict", "the seed", options.seed ?? 0, 0);
  const pixels = options.normalise ?? asIs(model.inputShape[2]);
  checkNormalisation("predict", pixels, model.inputShape[2]);
  const wanted = options.mode ?? "sample";
  if (wanted !== "sample" && wanted !== "mean") fail("predict", 'mode "sample" or "mean"', wanted);
  const mode = model.bayesian ? wanted : "mean";
  const samples = mode === "mean" ? 1 : checkInt("predict", "the number of samples", options.samples ?? 32, 1, 65536);
  const { count, shape } = data ?? {};
  const images = checkArray("predict", "images", data?.images, "Uint8Array", "Float32Array");
  if (!Array.isArray(shape)) fail("predict", "the images' shape [height, width, channels]", shape);
  if (shape.join() !== model.inputShape.join())
    fail("predict", `images of shape [${model.inputShape}] for ${model.name}`, shape);
  checkInt("predict", "the number of images", count, 1);
  if (images.length !== count * shape[0] * shape[1] * shape[2])
    fail("predict", `${count * shape[0] * shape[1] * shape[2]} pixel values for ${count} images`, images.length);

  const { classes, store } = model;
  const { launches, batch } = launchesOf(count, samples);
  const slot = "data/predict/images";
  if (store.slots.has(slot))
    throw new BayesError("[predict] expected an idle model, received one that is predicting; await that first");
  const dtype = images instanceof Uint8Array ? "u8" : "f32";
  store.define(slot, [count, ...shape], { dtype, init: () => images });
  try {
    using program = compile(
      { store, precision },
      {
        index: { shape: [batch], dtype: "i32" },
        rng: { shape: [4], dtype: "i32" },
      },
      ({ index, rng }) => {
        const x = gatherBatch(store.tensor(slot), index, pixels);
        // the example row is the image's index in the data set
        return { logits: model.apply(x, { mode, samples, noise: { rng, rows: index } }).output };
      },
    );
    const [low, high] = seedKey(seed);
    const rng = Int32Array.of(low, high, PREDICT_STEP, 0);
    const logits = new Float32Array(samples * count * classes);
    let chunk = 1;
    for (let at = 0; at < launches; ) {
      signal?.throwIfAborted();
      const n = Math.min(chunk, launches - at);
      const index = Int32Array.from({ length: n * batch }, (_, i) => Math.min(at * batch + i, count - 1));
      const start = performance.now();
      const out = (await program.runAsync({ index, rng }, n)).logits;
      for (let step = 0; step < n; step++) {
        const first = (at + step) * batch;
        const rows = Math.min(batch, count - first); // the last launch is filled up with its last image
        for (let s = 0; s < samples; s++) {
          const from = (step * samples + s) * batch * classes;
          logits.set(out.subarray(from, from + rows * classes), (s * count + first) * classes);
        }
      }
      at += n;
      options.onProgress?.(Math.min(count, at * batch));
      const spent = Math.max(performance.now() - start, 0.1);
      chunk = Math.max(1, Math.min(64, Math.round((n * 100) / spent)));
    }
    const sampleProbabilities = softmaxRows(logits, classes);
    return {
      samples,
      count,
      classes,
      logits,
      sampleProbabilities,
      probabilities: meanProbabilities(sampleProbabilities, samples, count, classes),
    };
  } finally {
    store.delete(slot);
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
  checkModel("evaluate", model);
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
