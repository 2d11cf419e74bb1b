import { isStreamed, type StreamedDataset } from "../data/dataset.ts";
import { checkPixels } from "../data/prepare.ts";
import { inOrder } from "../data/source.ts";
import { sizeOf } from "../graph/node.ts";
import type { Likelihood, PredictionOf } from "../likelihoods/shared/likelihood.ts";
import { checkModel, type Model } from "../models/model.ts";
import { checkPrecision, type Precision } from "../native/device.ts";
import { checkArray, isSignal } from "../util/arrays.ts";
import { BayesError, checkInt, checkNumber, checkOptions, fail } from "../util/errors.ts";
import { freeMemory } from "../util/memory.ts";
import { type CallOptions, Engine, floats, type Outputs } from "./engine.ts";
import { largestLaunch } from "./launches.ts";
import type { Images } from "./predict.ts";

export interface SamplingOptions {
  /** Monte-Carlo samples (default 32); a model without Bayesian layers, or mode "mean", takes 1. */
  readonly samples?: number;
  /** "sample" (default): average over posterior draws; "mean": one pass with the posterior means. */
  readonly mode?: "sample" | "mean";
  readonly seed?: number;
  /** Of the products in convolutions and linear layers; default "fp32". */
  readonly precision?: Precision;
}

export interface PredictorOptions extends SamplingOptions {
  /** Images of the largest launch; default: so many that a launch has 512 samples of images on the CPU (as many as the device wants), at least 1. */
  readonly maxBatch?: number;
  /** Milliseconds that a call waits for others to share its launch with; default 0: only for those made in the same tick. */
  readonly maxWait?: number;
  /** Calls that may wait at the same time, default 1024; one more is rejected with code "ERR_BAYES_QUEUE_FULL". */
  readonly maxQueue?: number;
}

/** @internal */
export const LAUNCH_OPTIONS = {
  samples: "number",
  mode: "string",
  seed: "number",
  precision: "string",
  maxBatch: "number",
  maxWait: "number",
} as const;
const PREDICTOR_OPTIONS = { ...LAUNCH_OPTIONS, maxQueue: "number" } as const;

/**
 * Predicts for any number of callers at a time, also while `fit` trains the same model. Images of concurrent calls share
 * launches, and every call is answered with the bits that it would have got alone (in float32; transposed convolutions
 * differ in last bits), because the noise of an image is a function of (seed, its index in its call, sample). Calls get equal shares
 * of a launch: one of many images does not make the others wait for all of them.
 *
 * Programs are compiled at first use, one for each size of launch, and kept with the model, which closes them.
 *
 * @example
 * <!-- setup: import { createModel } from "bayescnn";
 * const images = new Uint8Array(784);
 * const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 }); -->
 * ```ts
 * import { Predictor } from "bayescnn";
 *
 * const predictor = new Predictor(model, { samples: 32 });
 * await predictor.prepare("u8"); // compiles now what the first calls would have to wait for
 * const { probabilities } = await predictor.predict({ images, count: 1, shape: [28, 28, 1] });
 * ```
 */
export class Predictor<L extends Likelihood = Likelihood> {
  readonly model: Model<L>;
  readonly samples: number;
  /** @internal Alike for predictors of a model that do the same. */
  readonly key: string;
  readonly #engine: Engine;
  readonly #maxBatch: number;

  /** @throws BayesError for options that make no sense */
  constructor(model: Model<L>, options: PredictorOptions = {}) {
    checkModel("predict", model, { idle: false });
    const own = checkOptions<PredictorOptions>("predict", options, PREDICTOR_OPTIONS);
    const { device } = model.store;
    const precision = checkPrecision("predict", own.precision, device) ?? "fp32";
    const seed = checkInt("predict", "the seed", own.seed ?? 0, 0);
    const wanted = own.mode ?? "sample";
    if (wanted !== "sample" && wanted !== "mean") fail("predict", 'mode "sample" or "mean"', wanted);
    const mode = model.stochastic ? wanted : "mean";
    const samples = mode === "mean" ? 1 : checkInt("predict", "the number of samples", own.samples ?? 32, 1, 65536);
    const maxBatch = checkInt("predict", "maxBatch", own.maxBatch ?? largestLaunch(device, samples), 1, 65536);
    const maxWait = checkNumber("predict", "maxWait", own.maxWait ?? 0, 0, 2 ** 31 - 1);
    const maxQueue = checkInt("predict", "maxQueue", own.maxQueue ?? 1024, 1);
    this.model = model;
    this.samples = samples;
    const settings = { mode, samples, precision, seed, maxBatch, maxWait, maxQueue };
    this.key = JSON.stringify(settings);
    this.#maxBatch = maxBatch;
    this.#engine = new Engine(model, settings);
    if (new.target === Predictor) Object.freeze(this);
  }

  /** Whether no call waits or is under way. */
  get idle(): boolean {
    return this.#engine.idle;
  }

  /**
   * Compiles the programs now that the first calls would have to wait for (some milliseconds each).
   * @param pixels "u8" (default) or "f32": the images' type
   */
  async prepare(pixels: "u8" | "f32" = "u8"): Promise<void> {
    if (pixels !== "u8" && pixels !== "f32") fail("predict", 'pixels "u8" or "f32"', pixels);
    await this.#engine.prepare(pixels);
  }

  /**
   * What the model says about the images of `data`, which are copied: the arrays may be used again at once. A streamed set
   * is read in pieces of some thousand images, and gets the same answers as in memory.
   * @throws BayesError (the promise is rejected) when the images do not fit the model, when too many calls wait, or when
   *   the model is closed before the call's turn; the signal's reason when it aborts
   */
  async predict(data: Images | StreamedDataset, options: CallOptions = {}): Promise<PredictionOf<L>> {
    const { count, outputs: computed } = this.#call(data, options);
    const outputs = await computed;
    checkOutputs(outputs, count);
    const { likelihood, targetShape } = this.model;
    return likelihood.prediction(outputs, this.samples, count, targetShape) as PredictionOf<L>;
  }

  /** As {@link predict}, but gives the model's outputs by name, each [samples, count, ...]. */
  async outputs(data: Images | StreamedDataset, options: CallOptions = {}): Promise<Record<string, Float32Array>> {
    return this.#call(data, options).outputs;
  }

  /** Begins a call. What the caller does to `data` afterwards is not seen. */
  #call(
    data: Images | StreamedDataset,
    options: CallOptions,
  ): { readonly count: number; readonly outputs: Promise<Record<string, Float32Array>> } {
    const { model } = this;
    model.store.checkOpen(`predict ${model.name}`);
    const own = checkOptions("predict", options, { onProgress: "function", signal: "object" });
    if (own.signal && !isSignal(own.signal)) fail("predict", "signal as an AbortSignal", own.signal);
    const given = checkImages(model, data, this.samples);
    const { count } = given;
    const outputs = isStreamed(given) ? this.#streamed(given, count, own) : this.#engine.run(given.images, count, own);
    return { count, outputs };
  }

  /** Pieces are whole launches, so that all are those of the same call in memory. */
  async #streamed(
    data: StreamedDataset,
    total: number,
    { onProgress, signal }: CallOptions,
  ): Promise<Record<string, Float32Array>> {
    const { samples } = this;
    const all: Record<string, Float32Array> = {};
    for await (const { first, count, pixels } of inOrder(data, { signal }, this.#maxBatch)) {
      const progress = onProgress && ((done: number) => onProgress(first + done));
      const part = await this.#engine.run(pixels, count, { signal, onProgress: progress }, first);
      for (const [name, values] of Object.entries(part)) {
        const each = values.length / (samples * count);
        const to = (all[name] ??= floats(checkWhole(total, samples, each, data.name)));
        for (let s = 0; s < samples; s++)
          to.set(values.subarray(s * count * each, (s + 1) * count * each), (s * total + first) * each);
      }
    }
    return all;
  }
}

/** Throws unless these are images that the model takes, and not too many. Returns what was checked. */
function checkImages(
  model: Model,
  data: Images | StreamedDataset,
  samples: number,
): Pick<Images, "images" | "count"> | StreamedDataset {
  if (typeof data !== "object" || data === null || !("images" in data || isStreamed(data)))
    fail("predict", "a data set, or { images, count, shape }; loadImages and openRun read files", data);
  const streamed = isStreamed(data) ? data : undefined;
  const { count, shape } = data;
  const images = streamed
    ? undefined
    : checkArray("predict", "images", (data as Images).images, "Uint8Array", "Float32Array");
  checkPixels("predict", images ?? streamed!.pixels, model.preprocess);
  if (!Array.isArray(shape)) fail("predict", "the images' shape [height, width, channels]", shape);
  const { inputShape } = model;
  if (shape.length !== 3 || inputShape.some((d, i) => d !== shape[i]))
    fail("predict", `images of shape [${inputShape}] for ${model.name}`, shape, "ERR_BAYES_DATA");
  checkInt("predict", "the number of images", count, 1);
  // of the values that there will be at least: known before anything is computed
  checkWhole(count, samples, sizeOf(model.outputShape), streamed?.name);
  if (streamed) return streamed;
  const pixels = count * sizeOf(inputShape);
  if (images!.length !== pixels)
    fail("predict", `${pixels} pixel values for ${count} images`, images!.length, "ERR_BAYES_DATA");
  return { images: images!, count };
}

/** Bytes that an output of a streamed set may take: who streams has little memory, or asks for more than he thinks. */
const MOST_STREAMED = 2 ** 31;

/**
 * How many values an output of a whole call has.
 * @param each values of an image
 * @param name of the set, where there is one
 * @throws BayesError when they are too many for this machine, or for a streamed set
 */
function checkWhole(count: number, samples: number, each: number, name?: string): number {
  const bytes = samples * count * each * 4;
  if (bytes < 2 ** 28) return samples * count * each; // not worth asking the system
  const most = name === undefined ? freeMemory() : MOST_STREAMED;
  if (bytes <= most) return samples * count * each;
  const fewer = Math.floor(most / (count * each * 4));
  throw new BayesError(
    `[predict] expected a prediction of at most ${most} bytes, received ${bytes} (${samples} samples of ${count} images${name === undefined ? "" : ` of data set ${name}`}, of ${each} value${each > 1 ? "s" : ""} at least); ` +
      (fewer >= 1
        ? `${fewer} samples would fit`
        : name === undefined
          ? "fewer images would fit"
          : "subset gives parts that fit"),
    { code: "ERR_BAYES_MEMORY" },
  );
}

/** Throws for the first image of which the network made something that is no number. */
function checkOutputs(outputs: Outputs, count: number): void {
  for (const [name, values] of Object.entries(outputs)) {
    const wrong = values.findIndex((v) => !Number.isFinite(v));
    if (wrong < 0) continue;
    const image = Math.floor(wrong / (values.length / count)) % count;
    throw new BayesError(
      `[predict] expected finite ${name}, received ${values[wrong]} for image ${image}: are its pixels finite?`,
      { code: "ERR_BAYES_NUMERIC" },
    );
  }
}
