import type { BetaSchedule } from "../bayes/beta.ts";
import type { EpochRecord } from "../checkpoints/state.ts";
import type { Augmentation, SettledAugmentation } from "../data/augment.ts";
import { type AnyDataset, isStreamed } from "../data/dataset.ts";
import type { Preprocess } from "../data/prepare.ts";
import type { Tensor } from "../graph/node.ts";
import type { Better, Likelihood, Targets } from "../likelihoods/shared/likelihood.ts";
import type { Model } from "../models/model.ts";
import type { Precision } from "../native/device.ts";
import { BayesError, checkOptions } from "../util/errors.ts";
import { adam, type Optimizer } from "./optimizers.ts";
import type { Recipe } from "./recipe.ts";
import type { LearningRate } from "./schedules.ts";

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

/**
 * What a run keeps of its data: the caller's objects are read once. Pixels are not copied here.
 * @throws BayesError for a data set in place of the parts
 */
export function partsOf(data: FitData): FitData {
  if (Object.hasOwn(data ?? {}, "images") || Object.hasOwn(data ?? {}, "read"))
    throw new BayesError("[fit] expected { train, valid } as the data, received a data set: fit(model, { train: it })");
  const { train, valid } = checkOptions<FitData & { readonly test?: unknown }>("fit data", data, {
    train: "object",
    valid: "object",
    test: "object",
  });
  const own = <D extends AnyDataset | undefined>(part: D): D => (isStreamed(part) || !part ? part : { ...part });
  return { train: own(train), valid: own(valid) };
}
