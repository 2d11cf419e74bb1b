/** A classifier trained as an experiment's settings say, gone on with where it was stopped. */
import { join } from "node:path";
import type { Augmentation } from "../../data/augment.ts";
import { type ClassDataset, subset } from "../../data/dataset.ts";
import type { DatasetName } from "../../data/locate.ts";
import { split } from "../../data/split.ts";
import type { Tensor } from "../../graph/node.ts";
import type { Categorical, ClassMetrics } from "../../likelihoods/categorical.ts";
import { type ClassModelConfig, createModel } from "../../models/create.ts";
import type { Model } from "../../models/model.ts";
import { add, scale, square, sum } from "../../ops/index.ts";
import { evaluate } from "../../predict/predict.ts";
import { defaults } from "../../train/defaults.ts";
import { type EpochRecord, type FitResult, fit } from "../../train/fit.ts";
import { parseRate } from "../../train/schedules.ts";
import { validationSize } from "../../train/validation.ts";
import type { JsonObject, Work } from "./experiment.ts";

/** All that makes a trained classifier, in JSON. */
export interface TrainingSettings {
  readonly data: DatasetName;
  /** What createModel takes besides input, classes and seed. */
  readonly model: Omit<ClassModelConfig, "input" | "classes" | "seed" | "preprocess" | "device">;
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: string;
  /** Of a Bayesian model. */
  readonly beta?: number;
  readonly augment?: Augmentation;
  /** Times half the sum of the squared weights, added to the loss (what an optimizer's "weight decay" was before AdamW). */
  readonly weightDecay?: number;
  readonly seed: number;
}

/** Training, validation and test images of the settings; which are held out is a function of the content and seed 1. */
export async function partsOf(
  work: Work,
  data: DatasetName,
): Promise<{ train: ClassDataset; valid: ClassDataset; test: ClassDataset }> {
  const all = await work.data(data);
  return { ...split(all.train, { valid: validationSize(all.train.count) }, 1), test: all.test };
}

/** Trains, or goes on training, in the unit's folder. Close the model when done. */
export async function trained(
  work: Work,
  settings: TrainingSettings,
  onEpoch?: (record: EpochRecord, model: Model<Categorical>) => void,
): Promise<{ model: Model<Categorical>; result: FitResult; parts: Awaited<ReturnType<typeof partsOf>> }> {
  const parts = await partsOf(work, settings.data);
  const { train, valid } = parts;
  const model = createModel({ ...settings.model, input: train.shape, classes: train.classes, seed: settings.seed });
  try {
    const result = await fit(
      model,
      { train, valid },
      {
        epochs: settings.epochs,
        batchSize: settings.batchSize,
        learningRate: parseRate(settings.learningRate),
        ...(settings.beta === undefined ? {} : { beta: settings.beta }),
        ...(settings.augment ? { augment: settings.augment } : {}),
        ...(settings.weightDecay ? { penalty: halfSquares(settings.weightDecay) } : {}),
        seed: settings.seed,
        bestCheckpoint: false,
        runDir: join(work.dir, "run"),
        resume: true,
        signal: work.signal,
        progress: work.progress,
        callbacks: { onNote: work.say, onEpoch: (record) => onEpoch?.(record, model) },
      },
    );
    work.signal.throwIfAborted();
    return { model, result, parts };
  } catch (error) {
    model.close();
    throw error;
  }
}

const halfSquares =
  (decay: number) =>
  (parameters: ReadonlyMap<string, Tensor>): Tensor =>
    scale(
      [...parameters]
        .filter(([name]) => /\/weight(\/mu)?$/.test(name))
        .map(([, w]) => sum(square(w)))
        .reduce((a, b) => add(a, b)),
      decay / 2,
    );

/** So many training images tell how well it knows them. */
const TRAINING_IMAGES = 10_000;

/** Figures of a trained model: on the test images, which it sees here for the first time, and on the others. */
export async function figuresOf(
  model: Model<Categorical>,
  { train, valid, test }: Awaited<ReturnType<typeof partsOf>>,
  { history }: FitResult,
): Promise<JsonObject> {
  const samples = model.stochastic ? defaults.testSamples : 1;
  const first = Array.from({ length: Math.min(TRAINING_IMAGES, train.count) }, (_, i) => i);
  const on = async (data: ClassDataset): Promise<ClassMetrics> => (await evaluate(model, data, { samples })).metrics;
  const curve = (of: (r: EpochRecord) => number | undefined): number[] =>
    history.map((r) => Number((of(r) ?? 0).toPrecision(6)));
  const tested = await on(test);
  return {
    accuracy: tested.accuracy,
    nll: tested.nll,
    ece: tested.ece,
    brier: tested.brier,
    epistemic: tested.epistemic,
    aleatoric: tested.aleatoric,
    train: shortened(await on(subset(train, first))),
    valid: shortened(await on(valid)),
    parameters: model.parameterCount,
    images: { train: train.count, valid: valid.count, test: test.count },
    samples,
    curves: {
      nll: curve((r) => r.nll),
      accuracy: curve((r) => r.metrics.accuracy),
      validNll: curve((r) => r.valid?.nll),
      validAccuracy: curve((r) => r.valid?.accuracy),
      ...(model.bayesian
        ? {
            kl: curve((r) => r.kl),
            validEpistemic: curve((r) => r.valid?.epistemic),
            validAleatoric: curve((r) => r.valid?.aleatoric),
          }
        : {}),
    },
  };
}

const shortened = ({ accuracy, nll, ece, brier }: ClassMetrics): JsonObject => ({ accuracy, nll, ece, brier });
