import { isDeepStrictEqual } from "node:util";
import { type BetaSchedule, constantBeta } from "../bayes/beta.ts";
import type { EpochRecord } from "../checkpoints/state.ts";
import { type Augmentation, movesPixels, type SettledAugmentation, settleAugmentation } from "../data/augment.ts";
import { type AnyDataset, checkDataset, isStreamed } from "../data/dataset.ts";
import { checkPixels, normalizationOf, type Preprocess, pixelsOf } from "../data/prepare.ts";
import type { Tensor } from "../graph/node.ts";
import { checkPrecision, type Precision } from "../graph/trace.ts";
import { frozenLayers, isAmong, layerNames, layerOf } from "../layers/names.ts";
import type { Better, Likelihood, Targets } from "../likelihoods/shared/likelihood.ts";
import { type Model, temperedBy } from "../models/model.ts";
import { isSignal } from "../util/arrays.ts";
import { BayesError, checkInt, checkNumber, checkOptions, checkPath, fail, words } from "../util/errors.ts";
import { defaults } from "./defaults.ts";
import { checkInitialSigma } from "./initialSigma.ts";
import { adam, type Optimizer } from "./optimizers.ts";
import { type Recipe, recipeFor, type SaidOfRecipe } from "./recipe.ts";
import { constantRate, cosineRate, type LearningRate } from "./schedules.ts";

export interface FitData {
  /** In memory, or streamed (`makeSource`, or a folder with `stream`): the results are the same, bit for bit. */
  readonly train: AnyDataset;
  /** Never augmented, never trained on: what `fit` validates on. */
  readonly valid?: AnyDataset;
}

/** One step's figures, of the batch it trained on and the parameters before its update. */
export interface StepRecord {
  readonly step: number;
  readonly epoch: number;
  /** nll + beta / N * kl + penalty: nats per example. */
  readonly loss: number;
  readonly nll: number;
  /** Nats, all weights together; absent in a model without Bayesian layers, as is beta. */
  readonly kl?: number;
  readonly beta?: number;
  readonly lr: number;
  /** The likelihood's figures of the step's predictions, one per Monte-Carlo sample: accuracy, … */
  readonly metrics: Readonly<Record<string, number>>;
}

export interface Callbacks {
  /**
   * Once for every step, in order, after the chunk of steps it belongs to has run: the parameters may already be those
   * of a later step.
   */
  readonly onStep?: (record: StepRecord) => unknown;
  /** After each validation, before {@link onEpoch}; the parameters are those after `step` steps. */
  readonly onValidate?: (
    metrics: Readonly<Record<string, number>>,
    at: { readonly step: number; readonly epoch: number },
  ) => unknown;
  /** After each epoch and its validation; the parameters are those of that moment. */
  readonly onEpoch?: (record: EpochRecord) => unknown;
  /** A sentence that whoever started the run should read. Default: a process warning. */
  readonly onNote?: (sentence: string) => unknown;
}

/** A figure to go by, and which way it is better. */
export interface Monitor {
  readonly name: string;
  readonly better: Better;
}

export interface FitOptions {
  /** How often every example is seen; default 20, or as often as makes 500 steps where those are more. */
  readonly epochs?: number;
  /** Default 128; an eighth of fewer than 1,024 images, but at least 32. The last batch of an epoch may be smaller. */
  readonly batchSize?: number;
  /** Leave out the last batch of an epoch where it is smaller: other examples each epoch. Default false. */
  readonly dropLast?: boolean;
  /** Default {@link adam}. */
  readonly optimizer?: Optimizer;
  /** A number or a schedule; default 0.002, falling along a half cosine to zero. */
  readonly learningRate?: number | LearningRate;
  /**
   * Weight of the KL term: the loss is mean NLL + (beta / N) KL, N = examples in the training set, whatever the shape of
   * their targets. 1 is the ELBO; default 0.1, a tempered posterior, and less on fewer than 5,000 images.
   */
  readonly beta?: number | BetaSchedule;
  /**
   * Standard deviation that a weight's posterior begins with, as a share of the root mean square of its layer's initial means; 0
   * leaves it as the model has it. For a new model whose `rhoPosterior` says nothing of it; default a third to a half on fewer than
   * 5,000 images of classes or labels, else 0.
   */
  readonly initialSigma?: number;
  /** Monte-Carlo samples per step; default 1. */
  readonly samples?: number;
  /** Of noise, data order and augmentation; default 0. (The initial parameters are the model's.) */
  readonly seed?: number;
  /** Of the products in convolutions and linear layers; default "fp32". */
  readonly precision?: Precision;
  /** Scales all gradients together so that their global norm is at most this. */
  readonly clipNorm?: number;
  /** Random variation of training images: shift, flip, crop, rotation, …; default none. */
  readonly augment?: Augmentation;
  /** How much each training example counts, one number each (see {@link classWeights}); scaled so that their mean is 1. */
  readonly exampleWeights?: ArrayLike<number>;
  /**
   * Layers that stay as they are, by name or by a function that says whether one does: no step changes their parameters, and
   * their norms go by the running statistics, which stay. A name such as "stage1" is that of all layers below it. Default:
   * those of the model (`toBayesian` and `createModel` may freeze some).
   */
  readonly freeze?: readonly string[] | ((layer: string) => boolean);
  /** A traced scalar added to the loss, made from the trainable parameters, such as an L1 penalty. */
  readonly penalty?: (parameters: ReadonlyMap<string, Tensor>) => Tensor;

  /** Monte-Carlo samples in validation; default 4. */
  readonly validationSamples?: number;
  /**
   * Own figures of the validation set instead of the likelihood's, asked between two steps. Must depend on its arguments
   * alone.
   */
  evaluate?(
    model: Model,
    data: AnyDataset,
  ): Readonly<Record<string, number>> | Promise<Readonly<Record<string, number>>>;
  /** Epochs between two validations; default 1. The last epoch is always validated. */
  readonly validateEvery?: number;
  /**
   * The figure that early stopping, the best weights and a plateau schedule go by; default "nll". One that the likelihood
   * does not know says which way it is better.
   */
  readonly monitor?: string | Monitor;
  /** Ends training when `patience` validations in a row were not better than the best. */
  readonly earlyStopping?: { readonly patience: number; readonly margin?: number };
  /**
   * Leave the model with the weights of the best validation instead of the last ones. Default: where there is early
   * stopping.
   */
  readonly restoreBest?: boolean;
  readonly callbacks?: Callbacks;

  /** Folder for metrics.jsonl, checkpoint.safetensors and best.safetensors; made if missing. Absent: nothing is written. */
  readonly runDir?: string;
  /** When checkpoint.safetensors is written, besides at the end; default every epoch. None of it shows in the results. */
  readonly checkpoint?: { readonly epochs?: number; readonly steps?: number; readonly seconds?: number };
  /** Keep best.safetensors: the model (without moments) after the best validation. Default true where there is one. */
  readonly bestCheckpoint?: boolean;
  /** Go on from runDir's checkpoint; start from the beginning where there is none yet. Default false. */
  readonly resume?: boolean;
  /**
   * Stops after the chunk under way (about 0.1 s), or within a validation, saves, and resolves with `stopped: true`. A
   * validation that was due is made up for by the run that goes on.
   */
  readonly signal?: AbortSignal;
  /** Show progress on standard error; default false. */
  readonly progress?: boolean;
  /** Steps per native call; default: as many as take about 0.1 s. Never shows in the results. */
  readonly chunk?: number;
}

/** The options with every default filled in, and checked against the model and the data. */
export interface Settings extends Omit<FitOptions, "augment" | "freeze"> {
  readonly epochs: number;
  readonly batchSize: number;
  readonly dropLast: boolean;
  readonly optimizer: Optimizer;
  readonly learningRate: LearningRate;
  readonly beta: BetaSchedule;
  readonly initialSigma: number;
  /** What was chosen because nothing was said, and why. */
  readonly recipe: Recipe;
  readonly samples: number;
  readonly seed: number;
  readonly precision: Precision;
  readonly weights: Float32Array | undefined;
  readonly augment: SettledAugmentation | undefined;
  /** Names of layers. */
  readonly frozen: readonly string[];
  readonly validationSamples: number;
  readonly validateEvery: number;
  readonly monitor: Monitor;
  readonly restoreBest: boolean;
  readonly checkpoint: { readonly epochs?: number; readonly steps?: number; readonly seconds?: number };
  /** What the model will know once it has seen the training set. */
  readonly likelihood: Likelihood;
  readonly preprocess: Preprocess;
  readonly targets: Targets;
  /** Pixels of the training images, where they are streamed. */
  readonly stream: "u8" | "f32" | undefined;
}

/** Settings of which one may have to be read from the data first. */
export type Settled = Omit<Settings, "preprocess"> & { readonly preprocess: Preprocess | undefined };

const pixelsIn = (data: AnyDataset) => (isStreamed(data) ? data.pixels : pixelsOf(data.images));

/**
 * What a run keeps of its data: the caller's objects are read once. Pixels are not copied here.
 * @throws BayesError for a data set in place of the parts
 */
export function partsOf(data: FitData): FitData {
  if (Object.hasOwn(data ?? {}, "images") || Object.hasOwn(data ?? {}, "read"))
    throw new BayesError("[fit] expected { train, valid } as the data, received a data set: fit(model, { train: it })");
  const { train, valid } = checkOptions("fit data", data, {
    train: "object",
    valid: "object",
    test: "object",
  } as never) as FitData;
  const own = <D extends AnyDataset | undefined>(part: D): D => (isStreamed(part) || !part ? part : { ...part });
  return { train: own(train), valid: own(valid) };
}

/**
 * Fills in defaults and checks everything that can be known before the first step. Changes nothing. What only a pass over a
 * streamed set tells stays undefined: the preprocessing of a model that has none.
 */
export function settle(model: Model, data: FitData, options: FitOptions): Settled {
  const where = "fit";
  const o = checkShapes(options);
  const { train, valid } = data;
  for (const part of valid ? [train, valid] : [train]) checkImages(model, part);
  const current = temperedBy(where, model.likelihood, 1); // a temperature is of the weights that it was fitted to
  const informed = current.informed(train);
  // where nothing is new the model keeps its own, which may be a changed copy of the one that answers
  const news = !isDeepStrictEqual(informed.config, current.config);
  const likelihood = news ? informed : current;
  if (likelihood.config.kind !== model.likelihood.config.kind)
    fail(
      where,
      `informed of likelihood ${model.likelihood.config.kind} to return one of its kind`,
      likelihood.config.kind,
    );
  const targets = likelihood.targets(where, train, model.targetShape);
  if (valid) likelihood.targets(where, valid, model.targetShape);
  const known = model.preprocess ?? (isStreamed(train) ? undefined : normalizationOf(train));
  const pixels = known?.pixels ?? pixelsIn(train);
  const background = train.background ?? known?.background; // that of the images trained on last
  const preprocess = known && { ...known, pixels, ...(background === undefined ? {} : { background }) };
  for (const part of valid ? [train, valid] : [train])
    checkPixels(`fit, data set ${part.name}`, pixelsIn(part), { scale: [], shift: [], pixels });

  if (o.epochs !== undefined) checkInt(where, "epochs", o.epochs, 1);
  if (o.batchSize !== undefined) checkInt(where, "batchSize", o.batchSize, 1);
  checkInitialSigma(model, o.initialSigma);
  // of numbers wide posteriors were no better: their noise is an error of the prediction
  const widens = model.bayes.posterior.unsaid && likelihood.tempered !== undefined;
  const said: SaidOfRecipe = widens ? o : { ...o, initialSigma: o.initialSigma ?? 0 };
  const recipe = recipeFor(train.count, said, model.bayesian);
  const { epochs, batchSize } = recipe;
  const rate = o.learningRate ?? cosineRate(defaults.learningRate);
  const beta = o.beta ?? recipe.beta;
  const { name, better } = monitorOf(likelihood, o);
  const settings: Settled = {
    ...o,
    epochs,
    batchSize,
    initialSigma: recipe.initialSigma,
    recipe,
    dropLast: o.dropLast ?? false,
    optimizer: o.optimizer ?? adam(),
    learningRate: typeof rate === "number" ? constantRate(checkNumber(where, "the learning rate", rate, 0)) : rate,
    beta: typeof beta === "number" ? constantBeta(checkNumber(where, "beta", beta, 0)) : beta,
    samples: checkInt(where, "samples", o.samples ?? defaults.samples, 1, 65536),
    seed: checkInt(where, "seed", o.seed ?? 0, 0),
    precision: checkPrecision(where, o.precision) ?? "fp32",
    weights: weightsOf(train, o.exampleWeights),
    augment: augmentOf(model, train, batchSize, o.augment),
    frozen: frozenOf(model, o.freeze),
    validationSamples: checkInt(
      where,
      "validationSamples",
      o.validationSamples ?? (model.stochastic ? defaults.validationSamples : 1),
      1,
      65536,
    ),
    validateEvery: checkInt(where, "validateEvery", o.validateEvery ?? 1, 1),
    monitor: { name, better },
    restoreBest: o.restoreBest ?? o.earlyStopping !== undefined,
    checkpoint: o.checkpoint ?? { epochs: 1 },
    likelihood,
    preprocess,
    targets,
    stream: isStreamed(train) ? train.pixels : undefined,
  };
  if (!model.stochastic && settings.samples > 1)
    fail(where, "samples 1 for a model without Bayesian layers", o.samples);
  if (o.clipNorm !== undefined && !(checkNumber(where, "clipNorm", o.clipNorm, 0) > 0))
    fail(where, "clipNorm above 0", 0);
  if (o.chunk !== undefined) checkInt(where, "chunk", o.chunk, 1);
  if (o.earlyStopping) checkInt(where, "earlyStopping.patience", o.earlyStopping.patience, 1);
  if (o.earlyStopping?.margin !== undefined) checkNumber(where, "earlyStopping.margin", o.earlyStopping.margin, 0);
  for (const key of ["epochs", "steps"] as const)
    if (settings.checkpoint[key] !== undefined) checkInt(where, `checkpoint.${key}`, settings.checkpoint[key], 1);
  if (settings.checkpoint.seconds !== undefined)
    checkNumber(where, "checkpoint.seconds", settings.checkpoint.seconds, 0);
  if (o.resume && o.runDir === undefined) fail(where, "runDir together with resume", undefined);

  if (batchSize > train.count)
    throw new BayesError(
      `[fit] expected at least one batch of ${batchSize} examples, received ${train.count} in data set ${train.name}`,
    );
  if (!valid && (o.earlyStopping || o.bestCheckpoint || o.restoreBest || settings.learningRate.learn))
    throw new BayesError(
      "[fit] expected validation data for early stopping, the best weights or a plateau schedule, received none",
    );
  if (epochs * Math.ceil(train.count / batchSize) > 0x7fffffff) fail(where, "fewer than 2^31 steps", epochs);
  return settings;
}

function monitorOf(likelihood: Likelihood, { monitor = "nll", evaluate }: FitOptions): Monitor {
  if (typeof monitor === "string") {
    const known = likelihood.figures.filter((f) => f.better !== undefined);
    const figure = known.find((f) => f.name === monitor);
    if (figure) return { name: monitor, better: figure.better! };
    const own = evaluate ? `, or { name: ${JSON.stringify(monitor)}, better: "lower" or "higher" }` : "";
    return fail("fit", `a monitor among ${known.map((f) => f.name).join(", ")}${own}`, monitor);
  }
  const { name, better } = checkOptions("fit monitor", monitor, { name: "string", better: "string" });
  if (better !== "lower" && better !== "higher") fail("fit", 'monitor.better "lower" or "higher"', better);
  return { name, better };
}

function augmentOf(model: Model, train: AnyDataset, batchSize: number, asked: Augmentation | undefined) {
  if (!asked) return undefined;
  const augment = settleAugmentation("fit", asked, train.shape);
  if (augment.mixup !== undefined && batchSize === 1)
    fail("fit", "a batchSize of at least 2 for augment.mixup, which mixes the images of a batch", batchSize);
  if (model.targetShape.length === 3 && movesPixels(augment))
    fail(
      "fit",
      "augment without shift, flip, resizedCrop and rotate where targets are images, which would stay as they are",
      Object.keys(asked).join(", "),
    );
  return augment;
}

/** The names of all layers that are to stay as they are. */
function frozenOf(model: Model, freeze: FitOptions["freeze"] = model.frozen): readonly string[] {
  const frozen = frozenLayers("fit", freeze, layerNames(model.store.slots.values()));
  if (model.parameters.every(({ name }) => isAmong(frozen, layerOf(name))))
    fail("fit", "freeze to leave a layer that is trained", words("all of them"));
  return frozen;
}

/** Weights of mean 1. */
function weightsOf(train: AnyDataset, given: ArrayLike<number> | undefined): Float32Array | undefined {
  if (given === undefined) return undefined;
  if (given?.length !== train.count)
    fail("fit", `${train.count} exampleWeights, one an example of data set ${train.name}`, given?.length ?? given);
  const weights = new Float64Array(train.count);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    weights[i] = checkNumber("fit", `weight ${i} of exampleWeights`, given[i], 0);
    sum += weights[i];
  }
  if (!(sum > 0)) fail("fit", "exampleWeights that are not all zero", sum);
  return new Float32Array(weights.map((w) => (w * train.count) / sum));
}

/** A copy of the options, each of the kind it should be: the numbers are looked at later. */
function checkShapes(options: FitOptions): FitOptions {
  const o = checkOptions<FitOptions>("fit", options, {
    epochs: "number",
    batchSize: "number",
    dropLast: "boolean",
    optimizer: "object",
    learningRate: "number|object",
    beta: "number|object",
    initialSigma: "number",
    samples: "number",
    seed: "number",
    precision: "string",
    clipNorm: "number",
    augment: "object",
    exampleWeights: "object",
    penalty: "function",
    freeze: "object|function",
    validationSamples: "number",
    evaluate: "function",
    validateEvery: "number",
    monitor: "string|object",
    earlyStopping: "object",
    restoreBest: "boolean",
    callbacks: "object",
    runDir: "string",
    checkpoint: "object",
    bestCheckpoint: "boolean",
    resume: "boolean",
    signal: "object",
    progress: "boolean",
    chunk: "number",
  });
  const { optimizer, learningRate, beta, signal, augment } = o;
  if (optimizer && typeof optimizer.update !== "function")
    fail("fit", "optimizer as adam() or sgd() makes it", optimizer);
  if (typeof learningRate === "object" && typeof learningRate.at !== "function")
    fail("fit", "learningRate as a number or a schedule", learningRate);
  if (typeof beta === "object" && typeof beta.at !== "function") fail("fit", "beta as a number or a schedule", beta);
  if (signal && !isSignal(signal)) fail("fit", "signal as an AbortSignal", signal);
  if (o.runDir !== undefined) checkPath("fit", o.runDir);
  const { earlyStopping, checkpoint, callbacks } = o;
  if (augment) settleAugmentation("fit", augment);
  return {
    ...o,
    ...(earlyStopping && {
      earlyStopping: checkOptions("fit earlyStopping", earlyStopping, { patience: "number", margin: "number" }),
    }),
    ...(checkpoint && {
      checkpoint: checkOptions("fit checkpoint", checkpoint, {
        epochs: "number",
        steps: "number",
        seconds: "number",
      }),
    }),
    ...(callbacks && { callbacks: checkCallbacks(callbacks) }),
  };
}

/** A copy whose functions are called as those of the caller's object. */
function checkCallbacks(callbacks: Callbacks): Callbacks {
  const { onStep, onValidate, onEpoch, onNote } = checkOptions("fit callbacks", callbacks, {
    onStep: "function",
    onValidate: "function",
    onEpoch: "function",
    onNote: "function",
  });
  return {
    onStep: onStep?.bind(callbacks),
    onValidate: onValidate?.bind(callbacks),
    onEpoch: onEpoch?.bind(callbacks),
    onNote: onNote?.bind(callbacks),
  };
}

function checkImages(model: Model, data: AnyDataset): void {
  checkDataset("fit", data);
  if (data.shape.some((d, i) => d !== model.inputShape[i]))
    throw new BayesError(
      `[fit] expected images of ${model.inputShape.join("x")} for model ${model.name}, received ${data.shape.join("x")} in data set ${data.name}`,
      { code: "ERR_BAYES_DATA" },
    );
}
