import type { AnyDataset } from "../data/dataset.ts";
import type { Likelihood, Quality } from "../likelihoods/shared/likelihood.ts";
import { checkModel, type Model } from "../models/model.ts";
import { evaluate, type PredictOptions } from "../predict/predict.ts";
import { type FitOptions, fit } from "../train/fit.ts";
import { checkInt, checkObject, checkOptions } from "../util/errors.ts";
import { type Costs, costsOf } from "./costs.ts";
import type { PruningRow } from "./pruneExperiment.ts";
import { type ShrinkOptions, shrinkKinds, shrinkRound } from "./shrink.ts";

export interface ShrinkExperimentOptions extends Omit<ShrinkOptions, "data"> {
  /** How to train on after each round; absent: no fine-tuning. A `runDir` gets the last round's run. */
  readonly fineTune?: FitOptions;
  /** Shrink in so many rounds, each to the same share of what the one before has left, fine-tuned after each. Default 1. */
  readonly rounds?: number;
  /** Called when the smaller model is there, before its last fine-tuning. */
  readonly onShrunk?: (model: Model) => unknown;
  /** How the test set is predicted; default: 32 samples. */
  readonly predict?: PredictOptions;
}

/** What shrinking did: a row of the report's table, and what the model cost before and after. */
export interface ShrinkExperimentResult<L extends Likelihood = Likelihood> {
  /** The smaller model; close it when done. */
  readonly model: Model<L>;
  readonly row: PruningRow & { readonly before: Quality; readonly after: Quality };
  readonly costs: { readonly before: Costs; readonly after: Costs };
}

/** Shares of the whole after each of `rounds` rounds, each the same share of what was left. */
export const equalShares = (share: number, rounds: number): number[] =>
  Array.from({ length: rounds }, (_, r) => (r + 1 === rounds ? share : share ** ((r + 1) / rounds)));

/**
 * Measures the model, shrinks it ({@link shrink}, with the training images for the score and what channels gave on average),
 * measures, fine-tunes, and measures again. The model given stays as it is.
 * @param data training set of the fine-tuning (and its validation), and the set to measure on
 * @throws BayesError as {@link shrink} and {@link fit} do
 */
export async function shrinkExperiment<L extends Likelihood>(
  model: Model<L>,
  data: { readonly train: AnyDataset; readonly valid?: AnyDataset; readonly test: AnyDataset },
  options: ShrinkExperimentOptions,
): Promise<ShrinkExperimentResult<L>> {
  checkModel("shrinkExperiment", model, { idle: false });
  const { train, valid, test } = checkObject("shrinkExperiment", "data as { train, test }", data);
  const { data: _, ...kinds } = shrinkKinds;
  const {
    fineTune: training,
    rounds = 1,
    predict: predicting,
    score,
    onShrunk,
    ...budget
  } = checkOptions<ShrinkExperimentOptions>("shrinkExperiment", options, {
    ...kinds,
    fineTune: "object",
    rounds: "number",
    onShrunk: "function",
    predict: "object",
  });
  checkInt("shrinkExperiment", "rounds", rounds, 1, 1000);
  const fineTune = training && { ...training }; // what the caller changes while it runs is for another time
  const predict = { ...predicting };
  const measure = async (m: Model<L>): Promise<Quality> => (await evaluate(m, test, predict)).metrics;
  const [what] = Object.keys(budget) as (keyof typeof budget)[];
  const shares = what === undefined ? [undefined] : equalShares(budget[what]!, rounds);

  const before = { quality: await measure(model), costs: costsOf(model) };
  let now = model;
  let after = before.quality;
  try {
    let reached = 1; // the share of the whole that is there
    for (const [round, share] of shares.entries()) {
      const part = share === undefined ? {} : { [what]: Math.min(1, share / reached) };
      const next = await shrinkRound(now, { ...part, score, data: train }, { share: budget[what], of: reached });
      if (now !== model) now.close();
      now = next;
      if (share !== undefined) reached = measureOf(costsOf(now), what) / measureOf(before.costs, what);
      const last = round + 1 === shares.length;
      if (last) {
        onShrunk?.(now as Model);
        after = await measure(now);
      }
      if (!fineTune) continue;
      const seed = (fineTune.seed ?? 0) + round; // each round another noise and order
      await fit(now, { train, valid }, { ...fineTune, seed, ...(last ? {} : { runDir: undefined, resume: false }) });
      fineTune.signal?.throwIfAborted();
    }
    const fineTuned = fineTune && (await measure(now));
    const costs = { before: before.costs, after: costsOf(now) };
    const row = {
      name: "filters and units",
      sparsity: 1 - costs.after.weights / costs.before.weights,
      parameters: costs.after.weights,
      before: before.quality,
      after,
      ...(fineTuned ? { fineTuned } : {}),
    };
    return { model: now, row, costs };
  } catch (error) {
    if (now !== model) now.close();
    throw error;
  }
}

const measureOf = (costs: Costs, what: "flops" | "parameters"): number =>
  what === "flops" ? costs.multiplyAdds : costs.weights;
