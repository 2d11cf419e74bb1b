import { checkLikelihood } from "../likelihoods/known.ts";
import type { ShownThreshold } from "../likelihoods/shared/blocks.ts";
import type { Likelihood, Prediction, Quality, Targets } from "../likelihoods/shared/likelihood.ts";
import type { Scores } from "../metrics/ood.ts";
import type { PruningRow } from "../prune/pruneExperiment.ts";
import { checkInt, checkNumber, fail } from "../util/errors.ts";

/** Everything a report can show. Only the title is required; what is missing is left out of the page. */
export interface ReportData {
  /** heading, such as "LeNet-5 on MNIST" */
  title: string;
  /** one sentence under the heading */
  description?: string;
  /** how the run was made */
  setup?: ReportSetup;
  /** predictions on the test set */
  test?: ReportTest;
  /** Targets of the training set as the likelihood numbers them: what the baseline is made from. */
  trainingTargets?: Targets;
  /** training curves, in the order of training */
  history?: readonly HistoryPoint[];
  /** index in `history` of the epoch whose weights were tested; the last one unless given */
  tested?: number;
  /** the confidence below which answers are left to a person */
  threshold?: ShownThreshold;
  /** scores of strange images beside those of the test set */
  ood?: ReportOod;
  /** what the reader should know about data and run, such as "left out 25 files that are no images" */
  notes?: readonly string[];
  /** other models to print beside this one, such as the frequentist twin */
  comparison?: readonly ComparisonRow[];
  /** one row per pruning run */
  pruning?: readonly PruningRow[];
  /** the full configuration, shown as JSON */
  config?: Readonly<Record<string, unknown>>;
}

export interface ReportSetup {
  model?: string;
  data?: string;
  /** trainable numbers of the model */
  parameters?: number;
  posterior?: string;
  prior?: string;
  estimator?: string;
  /** weight of the KL term: a number, or a schedule in words */
  beta?: number | string;
  /** Monte-Carlo samples per test prediction */
  samples?: number;
  epochs?: number;
  seed?: number | string;
  /** of the products in convolutions and linear layers */
  precision?: string;
  device?: string;
  trainingSeconds?: number;
  version?: string;
}

export interface ReportTest {
  /** what the prediction means, and what there is to say about it */
  likelihood: Likelihood;
  /** as `predict` gives it, of the same likelihood */
  prediction: Prediction;
  /** of the N test images, as the likelihood numbers them (`evaluate` gives them) */
  targets: Targets;
  /** false for a model whose predictions draw nothing: it has no epistemic uncertainty to show */
  bayesian?: boolean;
  /** the N images, in the order of the targets */
  images?: ReportImages;
}

export interface ReportImages {
  height: number;
  width: number;
  /** 3 are drawn as RGB, of any other number the first as grey */
  channels: number;
  /** [N, height, width, channels], bytes as they are, or floats, each image stretched from its least to its greatest */
  pixels: Uint8Array | Float32Array;
}

/**
 * State of training after one epoch, as `fit` gives it in its history. Any figure may be absent, or not finite, and is then
 * not drawn.
 */
export interface HistoryPoint {
  /** number of the last step */
  readonly step: number;
  /** from 0 */
  readonly epoch?: number;
  /** training objective: NLL + beta / N * KL, nats per example */
  readonly loss?: number;
  /** training NLL, nats per example */
  readonly nll?: number;
  /** KL(posterior || prior), nats for all weights together */
  readonly kl?: number;
  /** the likelihood's figures of the training predictions, by name */
  readonly metrics?: Quality;
  /** and of the validation set */
  readonly valid?: Quality;
}

export interface ComparisonRow {
  readonly name: string;
  readonly metrics: Quality;
}

/** Scores that should be higher on strange images ("entropy", "epistemic variance"). */
export interface ReportOod {
  /** name of the strange data set */
  readonly data: string;
  readonly scores: readonly {
    readonly score: string;
    /** of the test set, [N] */
    readonly inside: Scores;
    /** of the strange images, [M] */
    readonly outside: Scores;
  }[];
}

const WHERE = "report";

/**
 * Checks everything the report reads.
 * @throws BayesError that names the field
 */
export function checkReport(data: ReportData): void {
  if (typeof data?.title !== "string" || data.title === "") fail(WHERE, "a title", data?.title);
  const { test, history, tested, threshold, notes, ood } = data;
  if (notes !== undefined && !(Array.isArray(notes) && notes.every((n) => typeof n === "string")))
    fail(WHERE, "notes as a list of texts", notes);
  if (tested !== undefined) checkInt(WHERE, "tested", tested, 0, (history?.length ?? 0) - 1);
  if (threshold)
    for (const name of ["risk", "coverage"] as const) checkNumber(WHERE, `threshold.${name}`, threshold[name], 0, 1);
  if (ood && (typeof ood.data !== "string" || !Array.isArray(ood.scores)))
    fail(WHERE, "ood with the name of its data and a list of scores", ood);
  if (test) checkTest(test);
}

function checkTest({ likelihood, prediction, targets, images }: ReportTest): void {
  checkLikelihood(WHERE, likelihood);
  const { count, samples, shape, mean, epistemicTotal, aleatoricTotal } = prediction ?? {};
  if (!Array.isArray(shape) || !(mean instanceof Float32Array))
    fail(WHERE, "test.prediction as predict gives it", prediction);
  checkInt(WHERE, "the prediction's images", count, 1);
  checkInt(WHERE, "the prediction's samples", samples, 1);
  if (!(targets instanceof Int32Array || targets instanceof Float32Array))
    fail(WHERE, "test.targets as the likelihood numbers them", targets);
  // one class number stands for a probability of each class
  const each = targets instanceof Int32Array ? 1 : mean.length / count;
  if (targets.length !== count * each) fail(WHERE, `test.targets to have ${count * each} values`, targets.length);
  if (targets instanceof Int32Array)
    for (const [n, c] of targets.entries()) checkInt(WHERE, `target ${n}`, c, 0, mean.length / count - 1);
  for (const [name, values] of Object.entries({ epistemicTotal, aleatoricTotal }))
    for (const v of values) if (v < 0) fail(WHERE, `the prediction's ${name} not to be negative`, v);
  if (!images) return;
  const { height, width, channels, pixels } = images;
  checkInt(WHERE, "test.images.height", height, 1);
  checkInt(WHERE, "test.images.width", width, 1);
  checkInt(WHERE, "test.images.channels", channels, 1);
  const size = count * height * width * channels;
  if (pixels?.length !== size) fail(WHERE, `test.images.pixels to have ${size} values`, pixels?.length);
}
