import { checkDataset, type Dataset, imageSize } from "../data/dataset.ts";
import { asIs, checkPixels } from "../data/prepare.ts";
import { BayesError, checkInt, checkOptions, fail } from "../errors.ts";
import { compile } from "../graph/compile.ts";
import { checkPrecision, type Precision } from "../graph/trace.ts";
import type { Likelihood, MetricsOf, PredictionOf, Targets } from "../likelihoods/likelihood.ts";
import { checkModel, type Model } from "../models/model.ts";
import { gatherBatch } from "../ops/gatherBatch.ts";
import { checkArray, isSignal } from "../util/arrays.ts";
import { seedKey } from "../util/philox.ts";
import { launchesOf } from "./launches.ts";

export interface PredictOptions {
  /** Monte-Carlo samples (default 32); a model without Bayesian layers, or mode "mean", takes 1. */
  readonly samples?: number;
  /** "sample" (default): average over posterior draws; "mean": one pass with the posterior means. */
  readonly mode?: "sample" | "mean";
  readonly seed?: number;
  /** Of the products in convolutions and linear layers; default "fp32". */
  readonly precision?: Precision;
  /** Called with the number of images done. */
  readonly onProgress?: (done: number) => unknown;
  readonly signal?: AbortSignal;
}

/** Images to predict: [N, H, W, C] pixels of the kind that the model was trained on. */
export interface Images {
  readonly images: Uint8Array | Float32Array;
  readonly count: number;
  readonly shape: readonly [number, number, number];
}

/** Noise of predictions has a step of its own, so that it is none of the training's. */
export const PREDICT_STEP = -1;

/**
 * Predicts by Monte Carlo: all samples of a batch in one launch, the first stochastic layer's mean and variance computed
 * once. The noise of image i is a function of (seed, i, sample), whatever the batching. Pixels are scaled as the model
 * was trained.
 * @returns what the model's likelihood makes of it: class probabilities and how sure they are, numbers and their sigma, …
 * @throws BayesError when the images do not fit the model
 */
export async function predict<L extends Likelihood>(
  model: Model<L>,
  data: Images,
  options: PredictOptions = {},
): Promise<PredictionOf<L>> {
  checkModel("predict", model);
  checkOptions("predict", options, {
    samples: "number",
    mode: "string",
    seed: "number",
    precision: "string",
    onProgress: "function",
    signal: "object",
  });
  const { signal } = options;
  const precision = checkPrecision("predict", options.precision);
  if (signal && !isSignal(signal)) fail("predict", "signal as an AbortSignal", signal);
  const seed = checkInt("predict", "the seed", options.seed ?? 0, 0);
  const wanted = options.mode ?? "sample";
  if (wanted !== "sample" && wanted !== "mean") fail("predict", 'mode "sample" or "mean"', wanted);
  const mode = model.bayesian ? wanted : "mean";
  const samples = mode === "mean" ? 1 : checkInt("predict", "the number of samples", options.samples ?? 32, 1, 65536);
  const { count, shape } = data ?? {};
  const images = checkArray("predict", "images", data?.images, "Uint8Array", "Float32Array");
  checkPixels("predict", images, model.preprocess);
  if (!Array.isArray(shape)) fail("predict", "the images' shape [height, width, channels]", shape);
  if (shape.join() !== model.inputShape.join())
    fail("predict", `images of shape [${model.inputShape}] for ${model.name}`, shape);
  checkInt("predict", "the number of images", count, 1);
  const size = imageSize(model.inputShape);
  if (images.length !== count * size)
    fail("predict", `${count * size} pixel values for ${count} images`, images.length);

  const raw = await rawPredict(model, { images, count, shape }, { ...options, samples, mode, seed, precision });
  checkOutputs(raw, count);
  return model.likelihood.prediction(raw, samples, count, model.targetShape) as PredictionOf<L>;
}

/** Throws for the first image of which the network made something that is no number. */
function checkOutputs(raw: Readonly<Record<string, Float32Array>>, count: number): void {
  for (const [name, values] of Object.entries(raw)) {
    const wrong = values.findIndex((v) => !Number.isFinite(v));
    if (wrong < 0) continue;
    const each = values.length / count;
    throw new BayesError(
      `[predict] expected finite ${name}, received ${values[wrong]} for image ${Math.floor(wrong / each) % count}: are its pixels finite?`,
    );
  }
}

interface Settled extends PredictOptions {
  readonly samples: number;
  readonly mode: "sample" | "mean";
  readonly seed: number;
}

/** The likelihood's heads of every image, by name, each [samples, count, ...]. */
async function rawPredict(
  model: Model,
  { images, count, shape }: Images,
  { samples, mode, seed, precision, signal, onProgress }: Settled,
): Promise<Record<string, Float32Array>> {
  const { store, likelihood } = model;
  const { launches, batch } = launchesOf(count, samples);
  const slot = "data/predict/images";
  if (store.slots.has(slot))
    throw new BayesError("[predict] expected an idle model, received one that is predicting; await that first");
  const dtype = images instanceof Uint8Array ? "u8" : "f32";
  store.define(slot, [count, ...shape], { dtype, init: () => images });
  try {
    using program = compile(
      { store, precision },
      { index: { shape: [batch], dtype: "i32" }, rng: { shape: [4], dtype: "i32" } },
      ({ index, rng }) => {
        const { scale, shift } = model.preprocess ?? asIs(model.inputShape[2]);
        const x = gatherBatch(store.tensor(slot), index, { scale, shift });
        // the example row is the image's index in the data set
        return model.apply(x, { mode, samples, noise: { rng, rows: index } }, (output) => likelihood.heads(output))
          .result;
      },
    );
    const [low, high] = seedKey(seed);
    const rng = Int32Array.of(low, high, PREDICT_STEP, 0);
    const heads = [...program.outputs].map(([name, { size, shape }]) => {
      const each = size / shape[0];
      return { name, each, all: new Float32Array(samples * count * each) };
    });
    let chunk = 1;
    for (let at = 0; at < launches; ) {
      signal?.throwIfAborted();
      const n = Math.min(chunk, launches - at);
      const index = Int32Array.from({ length: n * batch }, (_, i) => Math.min(at * batch + i, count - 1));
      const start = performance.now();
      const out = await program.runAsync({ index, rng }, n);
      for (const { name, each, all } of heads)
        for (let step = 0; step < n; step++) {
          const first = (at + step) * batch;
          const rows = Math.min(batch, count - first); // the last launch is filled up with its last image
          for (let s = 0; s < samples; s++) {
            const from = (step * samples + s) * batch * each;
            all.set(out[name].subarray(from, from + rows * each), (s * count + first) * each);
          }
        }
      at += n;
      onProgress?.(Math.min(count, at * batch));
      const spent = Math.max(performance.now() - start, 0.1);
      chunk = Math.max(1, Math.min(64, Math.round((n * 100) / spent)));
    }
    return Object.fromEntries(heads.map(({ name, all }) => [name, all]));
  } finally {
    store.delete(slot);
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
  data: Dataset,
  options: PredictOptions = {},
): Promise<EvaluateResult<L>> {
  checkModel("evaluate", model);
  checkDataset("evaluate", data);
  const targets = model.likelihood.targets("evaluate", data, model.targetShape);
  const prediction = await predict(model, data, options);
  return { metrics: model.likelihood.metrics(prediction, targets) as MetricsOf<L>, prediction, targets };
}
