/**
 * Split conformal prediction (Vovk et al. 2005; Angelopoulos and Bates 2021, arXiv:2107.07511): sets of classes, or intervals
 * of numbers, that hold the truth with a probability that is promised and not only claimed by the model.
 *
 * Every one of n validation images has a score, how badly the model was off. A new image's score is as likely to come in
 * any place among them, so with probability `coverage` at least it is no larger than the ceil((n + 1) coverage)-th
 * smallest, whatever the model is worth: a bad one has large sets. It takes that the new images come from where the
 * validation images come from (exchangeable), and holds over all of them together, not for each class.
 */
import type { AnyDataset } from "../data/dataset.ts";
import type { Likelihood, Prediction, Targets } from "../likelihoods/shared/likelihood.ts";
import { ClassPrediction, type NumberPrediction } from "../likelihoods/shared/predictions.ts";
import { wilson } from "../metrics/statistics.ts";
import { checkModel, type Model } from "../models/model.ts";
import { checkArray } from "../util/arrays.ts";
import { checkNumber, checkOptions, fail, words } from "../util/errors.ts";
import { evaluate, PREDICT_OPTIONS, type PredictOptions } from "./predict.ts";

export interface ConformalOptions extends PredictOptions {
  /** Share of new images whose truth is to be within, above 0 and below 1; default 0.9. */
  readonly coverage?: number;
}

interface Calibrated {
  /** What was asked for. */
  readonly coverage: number;
  /** The largest score that is still within: 1 - p of a class, or so many predictive sigmas from the mean. */
  readonly limit: number;
  /** Validation images that it was taken from. */
  readonly count: number;
}

/** How the sets or intervals do on images whose truth is known. */
export interface ConformalResult {
  /** Share of the images whose truth is within. */
  readonly coverage: number;
  /** 95 % interval of that share (Wilson). */
  readonly interval: readonly [low: number, high: number];
  /** Mean number of classes in a set, or mean width of the intervals in units of the targets. */
  readonly size: number;
  readonly count: number;
}

/** Sets of classes. */
export interface ConformalSets extends Calibrated {
  readonly kind: "sets";
  /** Numbers of the classes of each image's set, the likeliest first. A set is empty where no class is likely enough. */
  of(prediction: ClassPrediction): number[][];
  test(prediction: ClassPrediction, targets: Targets): ConformalResult;
}

/** Intervals around predictive means, all values of a target within at a time. */
export interface ConformalIntervals extends Calibrated {
  readonly kind: "intervals";
  /** Ends of the intervals, [N, ...shape] each. */
  of(prediction: NumberPrediction): { low: Float32Array; high: Float32Array };
  test(prediction: NumberPrediction, targets: Targets): ConformalResult;
}

/**
 * Prediction sets with a promised coverage, from validation images: those that the model was neither trained nor tested on (nor its
 * temperature fitted to, strictly). Classes have the score 1 - p(truth) (least ambiguous sets; Sadinle et al. 2019); numbers the
 * largest |target - mean| / sigma over the values of a target, sigma the predictive standard deviation.
 *
 * It holds for predictions made as here (samples, temperature) with these weights: after training, ask again.
 * @param options of the prediction, and the coverage
 * @throws BayesError for a likelihood of neither classes nor numbers, or too few images: a coverage of 0.9 takes 9
 * @example
 * <!-- setup: import { createModel, embeddedMnist, split } from "bayescnn";
 * const { test, train } = embeddedMnist();
 * const { valid } = split(train, { train: 64, valid: 64 }, 1);
 * const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 }); -->
 * ```ts
 * import { conformal, predict } from "bayescnn";
 *
 * const sets = await conformal(model, valid, { coverage: 0.9, samples: 8 });
 * const prediction = await predict(model, test, { samples: 8 });
 * const [first] = sets.of(prediction);
 * console.log(`the first image is one of ${first.map((c) => prediction.classes[c]).join(", ")}`);
 * ```
 */
export async function conformal(
  model: Model<Likelihood<ClassPrediction>>,
  valid: AnyDataset,
  options?: ConformalOptions,
): Promise<ConformalSets>;
export async function conformal(
  model: Model<Likelihood<NumberPrediction>>,
  valid: AnyDataset,
  options?: ConformalOptions,
): Promise<ConformalIntervals>;
export async function conformal(
  model: Model,
  valid: AnyDataset,
  options?: ConformalOptions,
): Promise<ConformalSets | ConformalIntervals>;
export async function conformal(
  model: Model,
  valid: AnyDataset,
  options: ConformalOptions = {},
): Promise<ConformalSets | ConformalIntervals> {
  const where = "conformal";
  checkModel(where, model, { idle: false });
  const { coverage = 0.9, ...predicting } = checkOptions<ConformalOptions>(where, options, {
    ...PREDICT_OPTIONS,
    coverage: "number",
  });
  if (!(checkNumber(where, "coverage", coverage, 0, 1) > 0 && coverage < 1))
    fail(where, "a coverage above 0 and below 1, such as 0.9", coverage);
  const { prediction, targets } = await evaluate(model, valid, predicting);
  const classes = prediction instanceof ClassPrediction;
  if (!classes && !isNumbers(prediction))
    fail(where, "a likelihood of classes or numbers (categorical, gaussian, laplace)", model.likelihood.config.kind);
  const limit = quantile(where, scoresOf(prediction as Scored, targets), coverage);
  const calibrated: Calibrated = { coverage, limit, count: prediction.count };
  return Object.freeze(classes ? sets(calibrated) : intervals(calibrated));
}

type Scored = ClassPrediction | NumberPrediction;

const isNumbers = (p: Prediction): p is NumberPrediction =>
  (p as Partial<NumberPrediction>).sigma instanceof Float32Array;

/** How badly each image's prediction is off, [N]. */
function scoresOf(p: Scored, targets: Targets): Float64Array {
  const D = p.mean.length / p.count;
  if (p instanceof ClassPrediction)
    return Float64Array.from({ length: p.count }, (_, n) => 1 - p.mean[n * D + targets[n]]);
  return Float64Array.from({ length: p.count }, (_, n) => {
    let most = 0;
    for (let i = n * D; i < (n + 1) * D; i++) most = Math.max(most, Math.abs(targets[i] - p.mean[i]) / p.sigma[i]);
    return most;
  });
}

/** The ceil((n + 1) coverage)-th smallest of n scores. @throws BayesError where there is none */
export function quantile(where: string, scores: Float64Array, coverage: number): number {
  const n = scores.length;
  const rank = (of: number) => Math.ceil((of + 1) * coverage - 1e-9); // 0.07 * 100 is a hair above 7
  if (rank(n) <= n) return Float64Array.from(scores).sort()[rank(n) - 1];
  const least = Math.ceil(coverage / (1 - coverage) - 1e-9);
  return fail(
    where,
    `at least ${least} validation images, so that one in ${Math.round(1 / (1 - coverage))} of them can be the worst that counts`,
    words(String(n)),
    "ERR_BAYES_DATA",
  );
}

function sets(calibrated: Calibrated): ConformalSets {
  const { limit } = calibrated;
  const of = (p: ClassPrediction): number[][] => {
    if (!(p instanceof ClassPrediction)) fail("conformal", "a prediction of classes", p);
    const C = p.classes.length;
    return Array.from({ length: p.count }, (_, n) => {
      const row = p.mean.subarray(n * C, (n + 1) * C);
      return [...row.keys()].filter((c) => 1 - row[c] <= limit).sort((a, b) => row[b] - row[a] || a - b);
    });
  };
  const test = (p: ClassPrediction, targets: Targets): ConformalResult => {
    const all = of(p);
    checkTargets(p, targets, p.count);
    const size = all.reduce((sum, set) => sum + set.length, 0) / p.count;
    return result(scoresOf(p, targets), limit, size);
  };
  return { kind: "sets", ...calibrated, of, test };
}

function intervals(calibrated: Calibrated): ConformalIntervals {
  const { limit } = calibrated;
  const end = (p: NumberPrediction, side: number) => p.mean.map((m, i) => m + side * limit * p.sigma[i]);
  const of = (p: NumberPrediction) => {
    if (!isNumbers(p)) fail("conformal", "a prediction of numbers", p);
    return { low: end(p, -1), high: end(p, 1) };
  };
  const test = (p: NumberPrediction, targets: Targets): ConformalResult => {
    const { low, high } = of(p);
    checkTargets(p, targets, p.mean.length);
    const width = high.reduce((sum, h, i) => sum + h - low[i], 0) / high.length;
    return result(scoresOf(p, targets), limit, width);
  };
  return { kind: "intervals", ...calibrated, of, test };
}

function checkTargets({ count }: Prediction, targets: Targets, values: number): void {
  checkArray("conformal", "targets", targets, "Int32Array", "Float32Array");
  if (targets.length !== values)
    fail("conformal", `${values} targets for ${count} predictions`, targets.length, "ERR_BAYES_DATA");
}

function result(scores: Float64Array, limit: number, size: number): ConformalResult {
  const count = scores.length;
  const coverage = scores.reduce((sum, s) => sum + Number(s <= limit), 0) / count;
  return { coverage, interval: wilson(coverage, count), size, count };
}
