import type { AnyDataset } from "../data/dataset.ts";
import type { Quality } from "../likelihoods/shared/likelihood.ts";
import { checkModel, type Model } from "../models/model.ts";
import { evaluate, type PredictOptions } from "../predict/predict.ts";
import { type FitOptions, fit } from "../train/fit.ts";
import { checkInt, checkObject, checkOptions } from "../util/errors.ts";
import { type PruneOptions, type PruneResult, prune, pruneKinds, sparsity } from "./prune.ts";
import type { ScoreName } from "./scores.ts";
import { cubicSchedule } from "./select.ts";

export interface PruneExperimentOptions extends PruneOptions {
  /** How to train on after each round of pruning; absent: no fine-tuning. A `runDir` gets the last round's run. */
  readonly fineTune?: FitOptions;
  /** Prune to the sparsity in so many rounds by {@link cubicSchedule}, fine-tuned after each. Default 1. */
  readonly rounds?: number;
  /** How the test set is predicted; default: 32 samples. */
  readonly predict?: PredictOptions;
}

/** What pruning did, for the table of a report. */
export interface PruningRow {
  /** how the weights were chosen, such as "signal to noise, global" */
  name?: string;
  /** share of weights removed */
  sparsity: number;
  /** weights that remain */
  parameters?: number;
  before?: Quality;
  after?: Quality;
  fineTuned?: Quality;
}

/** What pruning did: a row of the report's table, and the model layer by layer. */
export interface PruneExperimentResult {
  readonly row: PruningRow & { readonly before: Quality; readonly after: Quality };
  readonly report: PruneResult;
}

const words: Readonly<Record<ScoreName, string>> = { magnitude: "magnitude", snr: "signal to noise", kl: "KL" };

/**
 * Measures the model, prunes it in place, measures it, fine-tunes it with the masks held, and measures it again.
 * @param data training set of the fine-tuning (and its validation), and the set to measure on
 * @throws BayesError as {@link prune} and {@link fit} do
 */
export async function pruneExperiment(
  model: Model,
  data: { readonly train: AnyDataset; readonly valid?: AnyDataset; readonly test: AnyDataset },
  options: PruneExperimentOptions,
): Promise<PruneExperimentResult> {
  checkModel("pruneExperiment", model, { idle: false });
  const { train, valid, test } = checkObject("pruneExperiment", "data as { train, test }", data);
  const {
    fineTune: training,
    rounds = 1,
    predict: predicting,
    ...selection
  } = checkOptions<PruneExperimentOptions>("pruneExperiment", options, {
    ...pruneKinds,
    fineTune: "object",
    rounds: "number",
    predict: "object",
  });
  checkInt("pruneExperiment", "rounds", rounds, 1, 1 << 20);
  const fineTune = training && { ...training }; // what the caller changes while it runs is for another time
  const predict = { ...predicting };
  const measure = async (): Promise<Quality> => (await evaluate(model, test, predict)).metrics;

  const pruned = (how: PruneOptions) => model.store.turn("pruning", () => prune(model, how));

  const before = await measure();
  const targets =
    selection.sparsity === undefined || rounds === 1
      ? [selection.sparsity]
      : cubicSchedule(selection.sparsity, rounds, sparsity(model).sparsity);
  for (const [round, target] of targets.slice(0, -1).entries()) {
    await pruned({ ...selection, sparsity: target });
    if (!fineTune) continue;
    const seed = (fineTune.seed ?? 0) + round; // each round another noise and order
    await fit(model, { train, valid }, { ...fineTune, seed, runDir: undefined, resume: false });
    fineTune.signal?.throwIfAborted();
  }
  const report = await pruned({ ...selection, sparsity: targets[targets.length - 1] });
  const after = await measure();
  if (fineTune) await fit(model, { train, valid }, { ...fineTune, seed: (fineTune.seed ?? 0) + targets.length - 1 });
  fineTune?.signal?.throwIfAborted();
  const fineTuned = fineTune && (await measure());
  return {
    row: {
      name: `${words[report.score]}, ${report.scope === "global" ? "global" : "per layer"}`,
      sparsity: report.sparsity,
      parameters: report.kept,
      before,
      after,
      ...(fineTuned ? { fineTuned } : {}),
    },
    report,
  };
}
