/**
 * What a pretrained net is worth where images are few: an AlexNet trained on CIFAR-100 is fine-tuned on some hundred images of
 * CIFAR-10, as it is, with a Bayesian head, and Bayesian throughout with priors around its weights (MOPED), beside both twins
 * trained from nothing.
 */
import { join } from "node:path";
import { openModel, weightsFile } from "../checkpoints/open.ts";
import type { Augmentation } from "../data/augment.ts";
import type { ClassDataset } from "../data/dataset.ts";
import { split } from "../data/split.ts";
import { importWeights } from "../import/weights.ts";
import type { Categorical } from "../likelihoods/categorical.ts";
import { type ToBayesianOptions, toBayesian } from "../models/convert.ts";
import { createModel } from "../models/create.ts";
import type { Model } from "../models/model.ts";
import { evaluate } from "../predict/predict.ts";
import { type FitOptions, fit } from "../train/fit.ts";
import { recipeFor } from "../train/recipe.ts";
import { parseRate } from "../train/schedules.ts";
import type { Experiment, JsonObject, Unit, UnitOptions, Work } from "./shared/experiment.ts";

const PRETRAINED = "cifar-100-alexnet";
const AUGMENT: Augmentation = { shift: 4, flip: true };
/** Images, and how often they are seen: some hundred steps, which is little, above all for a net that begins from nothing. */
const SIZES: readonly (readonly [images: number, epochs: number])[] = [
  [300, 30],
  [1000, 12],
  [3000, 6],
];
const SEEDS = 3;
/** Monte-Carlo samples in the test. */
const SAMPLES = 4;
/** How a net of ten classes begins. */
interface Start {
  readonly pretrained: boolean;
  /** Absent: the net stays frequentist. */
  readonly bayesian?: Pick<ToBayesianOptions, "prior"> & { readonly head?: true };
  readonly learningRate: string;
  /** Minutes for a thousand images seen, on one core. */
  readonly minutes: number;
}
const starts: Readonly<Record<string, Start>> = {
  "nothing-frequentist": { pretrained: false, learningRate: "cosine:0.001", minutes: 0.03 },
  "nothing-bayesian": { pretrained: false, bayesian: {}, learningRate: "cosine:0.001", minutes: 0.06 },
  "pretrained-frequentist": { pretrained: true, learningRate: "cosine:0.0005", minutes: 0.03 },
  "pretrained-head": {
    pretrained: true,
    bayesian: { head: true, prior: { kind: "gaussian", sigma: 1 } },
    learningRate: "cosine:0.002",
    minutes: 0.015,
  },
  "pretrained-moped": { pretrained: true, bayesian: { prior: "moped" }, learningRate: "cosine:0.0005", minutes: 0.06 },
};

export const transfer: Experiment = {
  name: "transfer",
  title: "A pretrained net",
  summary: "a net pretrained on CIFAR-100 on few images of CIFAR-10: frequentist, with a Bayesian head, and by MOPED",
  units: ({ quick, seed: first }: UnitOptions) => [
    pretraining(quick),
    ...Array.from({ length: quick ? 1 : SEEDS }, (_, i) => first + i).flatMap((seed) =>
      (quick ? SIZES.slice(0, 1) : SIZES).flatMap(([images, epochs]) =>
        Object.entries(starts).map(([name, start]) =>
          tuning(`cifar-10-${images}-${name}-${seed}`, start, { quick, images, epochs: quick ? 1 : epochs, seed }),
        ),
      ),
    ),
  ],
};

/** A quick run has the smallest net. */
const net = (quick: boolean) => (quick ? { model: "lenet5", head: "fc3" } : { model: "alexnet", head: "classifier" });

function pretraining(quick: boolean): Unit {
  const settings = {
    data: "cifar-100",
    model: net(quick).model,
    bayesian: false,
    activation: "relu",
    epochs: quick ? 1 : 24,
    batchSize: 128,
    learningRate: "cosine:0.001",
    augment: { ...AUGMENT },
    seed: 1,
  } as const;
  return {
    name: PRETRAINED,
    settings: settings as unknown as JsonObject,
    minutes: quick ? 0.1 : 24,
    async run(work) {
      const { train, test } = await work.data("cifar-100");
      const { model: name, bayesian, activation, seed } = settings;
      using model = createModel({
        model: name,
        bayesian,
        activation,
        seed,
        input: train.shape,
        classes: train.classes,
      });
      const { history } = await fit(model, { train }, fitting(work, settings));
      work.signal.throwIfAborted();
      const { metrics } = await evaluate(model, test);
      return { accuracy: metrics.accuracy, nll: metrics.nll, curve: history.map((r) => Number(r.nll.toFixed(4))) };
    },
  };
}

interface Tuning {
  readonly quick: boolean;
  readonly images: number;
  readonly epochs: number;
  readonly seed: number;
}

function tuning(name: string, start: Start, { quick, images, epochs, seed }: Tuning): Unit {
  const { minutes, learningRate, ...begin } = start;
  const { beta, initialSigma } = recipeFor(images); // as `fit` would choose them
  const settings = {
    data: "cifar-10",
    model: net(quick).model,
    activation: "relu",
    ...begin,
    images,
    epochs,
    batchSize: 32,
    learningRate,
    ...(begin.bayesian ? { beta, initialSigma: start.pretrained ? 0 : initialSigma } : {}),
    augment: { ...AUGMENT },
    samples: begin.bayesian ? SAMPLES : 1,
    seed,
  } as const;
  return {
    name,
    settings: settings as unknown as JsonObject,
    ...(start.pretrained ? { needs: [PRETRAINED] } : {}),
    minutes: quick ? 0.1 : (images * epochs * minutes) / 1000 + 1,
    async run(work) {
      const { train: all, test } = await work.data("cifar-10");
      const { valid: train } = split(all, { valid: images }, seed); // so many of each class
      using model = beginning(work, start, train, quick, seed);
      const { history } = await fit(model, { train }, fitting(work, settings));
      work.signal.throwIfAborted();
      const { metrics } = await evaluate(model, test, { samples: settings.samples, seed });
      const { accuracy, nll, ece, brier, epistemic, aleatoric } = metrics;
      const last = history[history.length - 1];
      return {
        ...{ accuracy, nll, ece, brier, epistemic, aleatoric },
        train: { nll: last.nll, accuracy: last.metrics.accuracy },
        parameters: model.parameterCount,
        test: test.count,
      };
    },
  };
}

/** The model that a fine-tuning begins with. */
function beginning(work: Work, start: Start, train: ClassDataset, quick: boolean, seed: number): Model<Categorical> {
  const { model: name, head } = net(quick);
  const config = { model: name, input: train.shape, classes: train.classes, activation: "relu", seed } as const;
  if (!start.pretrained) return createModel({ ...config, bayesian: start.bayesian !== undefined });
  const file = weightsFile(join(work.dirOf(PRETRAINED), "run"));
  using before = openModel(file);
  const model = createModel({ ...config, bayesian: false, preprocess: before.preprocess });
  importWeights(model, file, { except: [head] });
  if (!start.bayesian) return model;
  using _ = model;
  const { head: headOnly, ...options } = start.bayesian;
  return toBayesian(model, { ...options, ...(headOnly ? { freeze: (layer: string) => layer !== head } : {}) });
}

interface Fitting {
  readonly epochs: number;
  readonly batchSize: number;
  readonly learningRate: string;
  readonly beta?: number;
  readonly initialSigma?: number;
  readonly augment: Augmentation;
  readonly seed: number;
}

const fitting = (work: Work, settings: Fitting): FitOptions => ({
  epochs: settings.epochs,
  batchSize: settings.batchSize,
  learningRate: parseRate(settings.learningRate),
  beta: settings.beta,
  initialSigma: settings.initialSigma,
  augment: settings.augment,
  seed: settings.seed,
  runDir: join(work.dir, "run"),
  resume: true,
  signal: work.signal,
  progress: work.progress,
  callbacks: { onNote: work.say },
});
