/**
 * Pruning: the paper's (an L1 penalty, a threshold, fine-tuning), weights by their signal-to-noise ratio beside the twin's by
 * magnitude, and filters and units taken out for good.
 */
import { join } from "node:path";
import { openModel } from "../checkpoints/open.ts";
import type { Augmentation } from "../data/augment.ts";
import type { DatasetName } from "../data/locate.ts";
import type { Categorical } from "../likelihoods/categorical.ts";
import type { Model } from "../models/model.ts";
import { evaluate } from "../predict/predict.ts";
import { costsOf } from "../prune/costs.ts";
import { prune } from "../prune/prune.ts";
import { shrink } from "../prune/shrink.ts";
import { equalShares } from "../prune/shrinkExperiment.ts";
import { speedsOf } from "../speed/speed.ts";
import { defaults } from "../train/defaults.ts";
import { type FitOptions, fit } from "../train/fit.ts";
import { l1Penalty } from "../train/l1.ts";
import { cosineRate } from "../train/schedules.ts";
import type { Experiment, JsonObject, Unit, Work } from "./shared/experiment.ts";
import { figuresOf, partsOf, type TrainingSettings, trained } from "./shared/training.ts";

type Parts = Awaited<ReturnType<typeof partsOf>>;
const BETA = Number(defaults.beta);

export const pruning: Experiment = {
  name: "pruning",
  title: "Pruning",
  summary: "the paper's L1 pruning, weights by signal to noise, and filters and units taken out for good",
  units({ quick, seed }) {
    const lenet = `classification/mnist-lenet5-bayesian-${seed}`;
    const twin = `classification/mnist-lenet5-frequentist-0-${seed}`;
    const caffe: TrainingSettings = {
      data: "mnist",
      model: { model: "lenet5-caffe", activation: "relu" },
      epochs: quick ? 1 : 4,
      batchSize: defaults.batchSize,
      learningRate: `cosine:${defaults.learningRate}`,
      beta: BETA,
      augment: { shift: 2 },
      seed,
    };
    const alexnet: TrainingSettings = {
      ...caffe,
      data: "cifar-10",
      model: { model: "alexnet", bayesian: false },
      epochs: 15,
      beta: undefined,
      augment: { shift: 4, flip: true },
    };
    const bigger: Shrinking = { data: "cifar-10", flops: 0.5, epochs: [1, 4], learningRate: 0.001, seed };
    const epochs = (list: readonly number[]) => (quick ? [1, 1] : list);
    const units = [
      penalized(quick, seed, lenet),
      sparse("bayesian", lenet, { data: "mnist", beta: BETA, seed }, quick),
      sparse("frequentist", twin, { data: "mnist", seed }, quick),
      shrunk(`lenet5-shrunk-${seed}`, lenet, quick ? 1 : 5, {
        data: "mnist",
        parameters: 1 / 20.5,
        epochs: epochs([3, 3, 3, 20]),
        learningRate: 0.003,
        beta: BETA,
        augment: { shift: 2 },
        seed,
      }),
      base(`lenet5-caffe-${seed}`, quick ? 0.3 : 4, caffe),
      shrunk(`lenet5-caffe-shrunk-${seed}`, `lenet5-caffe-${seed}`, quick ? 0.5 : 5, {
        data: "mnist",
        parameters: 1 / 101,
        epochs: epochs([2, 2, 4, 30]),
        learningRate: 0.003,
        beta: BETA,
        augment: { shift: 2 },
        seed,
      }),
    ];
    if (quick) return units;
    return [
      ...units,
      base(`alexnet-frequentist-${seed}`, 8, alexnet),
      shrunk(`alexnet-frequentist-shrunk-${seed}`, `alexnet-frequentist-${seed}`, 4, {
        ...bigger,
        augment: { shift: 4, flip: true },
      }),
      shrunk(`alexnet-shrunk-${seed}`, `classification/cifar-10-alexnet-bayesian-${seed}`, 8, {
        ...bigger,
        beta: BETA,
        augment: { shift: 4, flip: true },
      }),
    ];
  },
};

/** What every fine-tuning takes over from a unit's settings. */
interface Recipe {
  readonly data: DatasetName;
  /** Of a Bayesian net. */
  readonly beta?: number;
  readonly augment?: Augmentation;
  readonly seed: number;
}

const fineTune = (
  work: Work,
  recipe: Recipe,
  round: string,
  epochs: number,
  rate: number,
  number: number,
): FitOptions => ({
  epochs,
  batchSize: defaults.batchSize,
  learningRate: cosineRate(rate),
  ...(recipe.beta === undefined ? {} : { beta: recipe.beta }),
  ...(recipe.augment ? { augment: recipe.augment } : {}),
  seed: recipe.seed + number, // another noise and order each time
  bestCheckpoint: false,
  runDir: join(work.dir, "run", round),
  resume: true,
  signal: work.signal,
  progress: work.progress,
  callbacks: { onNote: work.say },
});

const opened = (work: Work, unit: string): Model<Categorical> =>
  openModel<Categorical>(join(work.dirOf(unit), "run")) as Model<Categorical>;

async function quality(model: Model<Categorical>, { test }: Parts): Promise<JsonObject> {
  const samples = model.bayesian ? defaults.testSamples : 1;
  const { accuracy, nll, ece } = (await evaluate(model, test, { samples })).metrics;
  return { accuracy, nll, ece };
}

/** A net to be shrunk, where the classification table has none. */
const base = (name: string, minutes: number, settings: TrainingSettings): Unit => ({
  name,
  settings: JSON.parse(JSON.stringify(settings)) as JsonObject,
  minutes,
  async run(work) {
    const { model, parts, result } = await trained(work, settings);
    using _ = model;
    return await figuresOf(model, parts, result);
  },
});

/** The paper's pruning: weights near zero after training with an L1 penalty; beside it the same threshold without one. */
function penalized(quick: boolean, seed: number, plain: string): Unit {
  const recipe = { data: "mnist", beta: BETA, seed } as const;
  const settings = { ...recipe, lambda: 2e-5, threshold: 0.02, epochs: quick ? [1, 1] : [12, 4], learningRate: 0.002 };
  return {
    name: `lenet5-l1-${seed}`,
    settings,
    needs: [plain],
    minutes: quick ? 0.2 : 2,
    async run(work) {
      const parts = await partsOf(work, "mnist");
      const measured = async (model: Model<Categorical>, epochs: number): Promise<JsonObject> => {
        const before = await quality(model, parts);
        const { sparsity, kept, weights } = prune(model, { score: "magnitude", threshold: settings.threshold });
        const after = await quality(model, parts);
        if (epochs === 0) return { before, after, sparsity, kept, weights };
        await fit(model, parts, fineTune(work, recipe, "tuned", epochs, 0.001, 1));
        work.signal.throwIfAborted();
        return { before, after, tuned: await quality(model, parts), sparsity, kept, weights };
      };
      using without = opened(work, plain);
      using model = without.resized({}) as Model<Categorical>; // the same net, untrained
      const penalty = l1Penalty(settings.lambda);
      await fit(model, parts, {
        ...fineTune(work, recipe, "penalized", settings.epochs[0], settings.learningRate, 0),
        penalty,
      });
      work.signal.throwIfAborted();
      return { penalized: await measured(model, settings.epochs[1]), plain: await measured(without, 0) };
    },
  };
}

const LEVELS = [0.5, 0.75, 0.9, 0.95, 0.98];

/** Weights one level after the other, with a few epochs of fine-tuning at each. */
function sparse(kind: "bayesian" | "frequentist", from: string, recipe: Recipe, quick: boolean): Unit {
  const score = kind === "bayesian" ? "snr" : "magnitude";
  const settings = { ...recipe, from, score, levels: LEVELS, epochs: quick ? 1 : 4, learningRate: 0.002 };
  return {
    name: `lenet5-weights-${kind}-${recipe.seed}`,
    settings: settings as unknown as JsonObject,
    needs: [from],
    minutes: quick ? 0.2 : 2,
    async run(work) {
      const parts = await partsOf(work, recipe.data);
      using model = opened(work, from);
      const before = await quality(model, parts);
      const levels: JsonObject[] = [];
      for (const [i, sparsity] of LEVELS.entries()) {
        const { kept } = prune(model, { sparsity, score });
        const after = await quality(model, parts);
        await fit(model, parts, fineTune(work, recipe, `level-${i + 1}`, settings.epochs, settings.learningRate, i));
        work.signal.throwIfAborted();
        levels.push({ sparsity, kept, after, tuned: await quality(model, parts) });
      }
      return { before, levels };
    },
  };
}

interface Shrinking extends Recipe {
  /** Share of the multiply-adds, or of the weights, that may stay. */
  readonly flops?: number;
  readonly parameters?: number;
  /** Of fine-tuning after each round. */
  readonly epochs: readonly number[];
  readonly learningRate: number;
}

/** Filters and units taken out in rounds, by the first-order Taylor criterion. */
function shrunk(name: string, from: string, minutes: number, settings: Shrinking): Unit {
  return {
    name,
    settings: JSON.parse(JSON.stringify({ ...settings, from, score: "taylor" })) as JsonObject,
    needs: [from],
    minutes,
    async run(work) {
      const parts = await partsOf(work, settings.data);
      const { train } = parts;
      const what = settings.flops === undefined ? "parameters" : "flops";
      using whole = opened(work, from);
      const costs = costsOf(whole);
      const of = (model: Model) => {
        const { weights, multiplyAdds } = costsOf(model);
        return what === "flops" ? multiplyAdds / costs.multiplyAdds : weights / costs.weights;
      };
      let model = whole;
      const rounds: JsonObject[] = [];
      try {
        const shares = equalShares(settings[what]!, settings.epochs.length);
        let after: JsonObject = {};
        for (const [r, share] of shares.entries()) {
          const less = await shrink(model, { [what]: Math.min(1, share / of(model)), score: "taylor", data: train });
          if (model !== whole) model.close();
          model = less;
          if (r + 1 === shares.length) after = await quality(model, parts);
          const options = fineTune(work, settings, `round-${r + 1}`, settings.epochs[r], settings.learningRate, r);
          const { history } = await fit(model, parts, options);
          work.signal.throwIfAborted();
          const { widths } = model.config as unknown as { widths: JsonObject };
          rounds.push({ share: of(model), widths, validAccuracy: history.at(-1)?.valid?.accuracy ?? 0 });
        }
        const [slow, fast] = speedsOf([whole, model]);
        const { accuracy, nll, ece } = work.figuresOf(from);
        return {
          before: { accuracy, nll, ece },
          after,
          tuned: await quality(model, parts),
          rounds,
          costs: { before: costsOf(whole), after: costsOf(model) } as unknown as JsonObject,
          speed: { before: { ...slow }, after: { ...fast } },
        };
      } finally {
        model.close();
      }
    },
  };
}
