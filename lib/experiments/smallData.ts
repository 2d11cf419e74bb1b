/**
 * What most people have: 300 to 10,000 images. The recipe that `fit` takes when nothing is said, against the frequentist twin on the
 * same schedule and against the recipe of large sets; and what validation images said of the two numbers in it.
 */
import { join } from "node:path";
import type { ClassDataset } from "../data/dataset.ts";
import type { DatasetName } from "../data/locate.ts";
import { split } from "../data/split.ts";
import { createModel } from "../models/create.ts";
import { evaluate } from "../predict/predict.ts";
import { defaults } from "../train/defaults.ts";
import { fit } from "../train/fit.ts";
import { MANY_IMAGES, recipeFor } from "../train/recipe.ts";
import type { Experiment, JsonObject, Unit, UnitOptions, Work } from "./shared/experiment.ts";

const SIZES = [300, 1000, 3000, 10_000];
const SEEDS = 3;
/** Images that judge: of the training set for a choice, of the test set (looked at once) else. */
const JUDGES = 2000;
const SAMPLES = 16;

interface Settings {
  readonly data: DatasetName;
  readonly model: string;
  readonly images: number;
  readonly bayesian: boolean;
  readonly judged: "validation" | "test";
  readonly epochs: number;
  readonly batchSize: number;
  readonly beta: number;
  readonly initialSigma: number;
  readonly seed: number;
}

/** Nets and minutes of a thousand steps on one core. */
const plans = [
  ["mnist", "lenet5", 0.2],
  ["cifar-10", "lenet5", 0.25],
  ["cifar-10", "alexnet", 2.5],
] as const;

export const smallData: Experiment = {
  name: "small-data",
  title: "Few images",
  summary: "300 to 10,000 images: the recipe for few images, the one for many, and the frequentist twin",
  units: (options) => [...choices(options), ...plans.flatMap((plan) => comparisons(plan, options))],
};

/** LeNet-5 on 1,000 images: where sigma begins, and beta, by the NLL of validation images. */
function choices({ quick, seed }: UnitOptions): Unit[] {
  const images = quick ? 300 : 1000;
  return (["mnist", "cifar-10"] as const).flatMap((data) =>
    (quick ? [0, 1 / 3] : [0, 0.15, 1 / 3, 0.5]).flatMap((sigma) =>
      (quick ? [0.02] : [0.1, 0.02, 0.005]).map((beta) => {
        const { epochs, batchSize } = recipeFor(images);
        const settings: Settings = {
          data,
          model: "lenet5",
          images,
          bayesian: true,
          judged: "validation",
          ...(quick ? { epochs: 2, batchSize } : { epochs, batchSize }),
          beta,
          initialSigma: sigma,
          seed,
        };
        return unit(`choice-${data}-sigma-${sigma.toFixed(2)}-beta-${beta}`, settings, 0.15);
      }),
    ),
  );
}

function comparisons([data, model, minutes]: (typeof plans)[number], { quick, seed: first }: UnitOptions): Unit[] {
  if (quick && model !== "lenet5") return [];
  return (quick ? [300] : SIZES).flatMap((images) =>
    Array.from({ length: quick ? 1 : SEEDS }, (_, i) => first + i).flatMap((seed) => {
      const { epochs, batchSize, beta, initialSigma } = recipeFor(images);
      const common = { data, model, images, judged: "test", seed } as const;
      const few = { epochs: quick ? 2 : epochs, batchSize, beta, initialSigma };
      const many = {
        epochs: defaults.epochs,
        batchSize: Math.min(defaults.batchSize, images),
        beta: Number(defaults.beta),
      };
      const cost = quick ? 0.1 : (epochs * Math.ceil(images / batchSize) * minutes) / 1000;
      const of = (name: string, settings: Settings, share = 1) =>
        unit(`${data}-${model}-${images}-${name}-${seed}`, settings, share * cost);
      return [
        of("bayesian", { ...common, bayesian: true, ...few }),
        of("frequentist", { ...common, bayesian: false, ...few, beta: 0, initialSigma: 0 }, 0.5),
        ...(images < MANY_IMAGES ? [of("many", { ...common, bayesian: true, ...many, initialSigma: 0 }, 0.7)] : []),
      ];
    }),
  );
}

const unit = (name: string, settings: Settings, minutes: number): Unit => ({
  name,
  settings: settings as unknown as JsonObject,
  minutes,
  run: (work) => run(work, settings),
});

async function run(work: Work, s: Settings): Promise<JsonObject> {
  const { train, judges } = await partsOf(work, s);
  const { data: _, images: _n, judged: _j, model: name, bayesian, seed, ...recipe } = s;
  const { beta, initialSigma, ...schedule } = recipe;
  using model = createModel({ model: name, input: train.shape, classes: train.classes, bayesian, seed });
  const { history, steps } = await fit(
    model,
    { train },
    {
      ...schedule,
      ...(bayesian ? { beta, initialSigma } : {}),
      seed,
      runDir: join(work.dir, "run"),
      resume: true,
      signal: work.signal,
      progress: work.progress,
    },
  );
  work.signal.throwIfAborted();
  const { metrics } = await evaluate(model, judges, { samples: SAMPLES, signal: work.signal });
  const last = history[history.length - 1];
  return {
    accuracy: metrics.accuracy,
    nll: metrics.nll,
    ece: metrics.ece,
    epistemic: metrics.epistemic,
    aleatoric: metrics.aleatoric,
    train: { accuracy: last.metrics.accuracy, nll: last.nll, ...(last.kl === undefined ? {} : { kl: last.kl }) },
    steps,
    parameters: model.parameterCount,
    judges: judges.count,
    samples: bayesian ? SAMPLES : 1,
  };
}

/** Another part of the training set for every seed, every class alike; the same images judge all of them. */
async function partsOf(
  work: Work,
  { data, images, judged, seed }: Settings,
): Promise<{ train: ClassDataset; judges: ClassDataset }> {
  const all = await work.data(data);
  const judges = work.quick ? 200 : JUDGES;
  const { train: rest, valid } = split(all.train, { valid: judges }, 1);
  const { valid: train } = split(rest, { valid: images }, 100 + seed);
  return { train, judges: judged === "validation" ? valid : split(all.test, { valid: judges }, 1).valid };
}
