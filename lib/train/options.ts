import type { BetaSchedule } from "../bayes/beta.ts";
import { constantBeta } from "../bayes/beta.ts";
import { checkDataset, type Dataset } from "../data/dataset.ts";
import { type Augmentation, checkNormalisation, type Normalisation } from "../data/prepare.ts";
import { BayesError, checkInt, checkNumber, checkOptions, checkPath, fail } from "../errors.ts";
import type { Tensor } from "../graph/node.ts";
import { checkPrecision, type Precision } from "../graph/trace.ts";
import type { Model } from "../models/model.ts";
import { isSignal } from "../util/arrays.ts";
import { adam, type Optimizer } from "./optimizers.ts";
import { constantRate, type LearningRate } from "./schedules.ts";
import type { EpochRecord } from "./state.ts";

export interface FitData {
  readonly train: Dataset;
  /** Never augmented, never trained on; needs `evaluate`. */
  readonly valid?: Dataset;
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
  readonly accuracy: number;
}

export interface Callbacks {
  /**
   * Once for every step, in order, after the chunk of steps it belongs to has run: the parameters may already be those
   * of a later step.
   */
  readonly onStep?: (record: StepRecord) => void;
  /** After each validation, before {@link onEpoch}; the parameters are those after `step` steps. */
  readonly onValidate?: (
    metrics: Readonly<Record<string, number>>,
    at: { readonly step: number; readonly epoch: number },
  ) => void | Promise<void>;
  /** After each epoch and its validation; the parameters are those of that moment. */
  readonly onEpoch?: (record: EpochRecord) => void | Promise<void>;
}

export interface FitOptions {
  /** How often every example is seen. */
  readonly epochs: number;
  /** Default 128. The last batch of an epoch may be smaller. */
  readonly batchSize?: number;
  /** Default {@link adam}. */
  readonly optimizer?: Optimizer;
  /** A number or a schedule; default 0.001. */
  readonly learningRate?: number | LearningRate;
  /** Weight of the KL term: the loss is mean NLL + (beta / N) KL, N = examples in the training set. Default 1, the ELBO. */
  readonly beta?: number | BetaSchedule;
  /** Monte-Carlo samples per step; default 1. */
  readonly samples?: number;
  /** Of noise, data order and augmentation; default 0. (The initial parameters are the model's.) */
  readonly seed?: number;
  /** Of the products in convolutions and linear layers; default "fp32". */
  readonly precision?: Precision;
  /** Scales all gradients together so that their global norm is at most this. */
  readonly clipNorm?: number;
  /** Network input = pixel * scale + shift, per channel; default: pixels as they are. */
  readonly normalise?: Normalisation;
  /** Random shift and flip of training images. */
  readonly augment?: Augmentation;
  /** A traced scalar added to the loss, made from the trainable parameters, such as an L1 penalty. */
  readonly penalty?: (parameters: ReadonlyMap<string, Tensor>) => Tensor;

  /** Figures of the validation set (accuracy, nll, ece, …), asked between two steps. Must depend on its arguments alone. */
  readonly evaluate?: (model: Model, data: Dataset) => Promise<Readonly<Record<string, number>>>;
  /** Epochs between two validations; default 1. The last epoch is always validated. */
  readonly validateEvery?: number;
  /** The figure that early stopping, the best checkpoint and a plateau schedule go by; default "nll". Higher is better for "accuracy" and "auroc" only. */
  readonly monitor?: string;
  /** Ends training when `patience` validations in a row were not better than the best. */
  readonly earlyStopping?: { readonly patience: number; readonly margin?: number };
  readonly callbacks?: Callbacks;

  /** Folder for metrics.jsonl, checkpoint.safetensors and best.safetensors; made if missing. Absent: nothing is written. */
  readonly runDir?: string;
  /** When checkpoint.safetensors is written, besides at the end; default every epoch. None of it shows in the results. */
  readonly checkpoint?: { readonly epochs?: number; readonly steps?: number; readonly seconds?: number };
  /** Keep best.safetensors: the model (without moments) after the best validation. Default true where there is one. */
  readonly bestCheckpoint?: boolean;
  /** Go on from runDir's checkpoint; start from the beginning where there is none yet. Default false. */
  readonly resume?: boolean;
  /** Stops after the chunk under way (about 0.1 s), saves, and resolves with `stopped: true`. */
  readonly signal?: AbortSignal;
  /** Show progress on standard error; default false. */
  readonly progress?: boolean;
  /** Steps per native call; default: as many as take about 0.1 s. Never shows in the results. */
  readonly chunk?: number;
}

/** The options with every default filled in, and checked against the model and the data. */
export interface Settings extends FitOptions {
  readonly batchSize: number;
  readonly optimizer: Optimizer;
  readonly learningRate: LearningRate;
  readonly beta: BetaSchedule;
  readonly samples: number;
  readonly seed: number;
  readonly precision: Precision;
  readonly validateEvery: number;
  readonly monitor: string;
  readonly checkpoint: { readonly epochs?: number; readonly steps?: number; readonly seconds?: number };
}

/** Fills in defaults and checks everything that can be known before the first step. */
export function settle(model: Model, data: FitData, o: FitOptions): Settings {
  const where = "fit";
  checkShapes(o);
  const { train, valid } = checkOptions("fit data", data, {
    train: "object",
    valid: "object",
    test: "object",
  } as never) as FitData;
  const rate = o.learningRate ?? 1e-3;
  const beta = o.beta ?? 1;
  const settings: Settings = {
    ...o,
    batchSize: checkInt(where, "batchSize", o.batchSize ?? 128, 1),
    optimizer: o.optimizer ?? adam(),
    learningRate: typeof rate === "number" ? constantRate(rate) : rate,
    beta: typeof beta === "number" ? constantBeta(beta) : beta,
    samples: checkInt(where, "samples", o.samples ?? 1, 1, 65536),
    seed: checkInt(where, "seed", o.seed ?? 0, 0),
    precision: checkPrecision(where, o.precision) ?? "fp32",
    validateEvery: checkInt(where, "validateEvery", o.validateEvery ?? 1, 1),
    monitor: o.monitor ?? "nll",
    checkpoint: o.checkpoint ?? { epochs: 1 },
  };
  checkInt(where, "epochs", o.epochs, 1);
  if (!model.bayesian && settings.samples > 1) fail(where, "samples 1 for a model without Bayesian layers", o.samples);
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

  for (const data of valid ? [train, valid] : [train]) checkData(model, data);
  if (settings.batchSize > train.count)
    throw new BayesError(
      `[fit] expected at least one batch of ${settings.batchSize} examples, received ${train.count} in data set ${train.name}`,
    );
  if (o.normalise) checkNormalisation(where, o.normalise, train.shape[2]);
  if (valid && !o.evaluate) fail(where, "evaluate together with validation data", undefined);
  if (!valid && (o.earlyStopping || o.bestCheckpoint || settings.learningRate.learn))
    throw new BayesError(
      "[fit] expected validation data for early stopping, a best checkpoint or a plateau schedule, received none",
    );
  if (o.epochs * Math.ceil(train.count / settings.batchSize) > 0x7fffffff)
    fail(where, "fewer than 2^31 steps", o.epochs);
  return settings;
}

/** Every option is of the kind it should be: the numbers are looked at later. */
function checkShapes(o: FitOptions): void {
  checkOptions("fit", o, {
    epochs: "number",
    batchSize: "number",
    optimizer: "object",
    learningRate: "number|object",
    beta: "number|object",
    samples: "number",
    seed: "number",
    precision: "string",
    clipNorm: "number",
    normalise: "object",
    augment: "object",
    penalty: "function",
    evaluate: "function",
    validateEvery: "number",
    monitor: "string",
    earlyStopping: "object",
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
  if (augment) {
    checkOptions("fit augment", augment, { shift: "number", flip: "boolean" });
    checkInt("fit", "augment.shift", augment.shift, 0, 1 << 15);
  }
  if (o.earlyStopping) checkOptions("fit earlyStopping", o.earlyStopping, { patience: "number", margin: "number" });
  if (o.checkpoint)
    checkOptions("fit checkpoint", o.checkpoint, { epochs: "number", steps: "number", seconds: "number" });
  if (o.callbacks)
    checkOptions("fit callbacks", o.callbacks, { onStep: "function", onValidate: "function", onEpoch: "function" });
}

function checkData(model: Model, data: Dataset): void {
  checkDataset("fit", data);
  if (data.shape.some((d, i) => d !== model.inputShape[i]))
    throw new BayesError(
      `[fit] expected images of ${model.inputShape.join("x")} for model ${model.name}, received ${data.shape.join("x")} in data set ${data.name}`,
    );
  if (data.classes.length !== model.classes)
    throw new BayesError(
      `[fit] expected ${model.classes} classes for model ${model.name}, received ${data.classes.length} in data set ${data.name}`,
    );
}

export const lowerIsBetter = (figure: string): boolean => !["accuracy", "auroc"].includes(figure);
