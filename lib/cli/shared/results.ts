/** Tests a trained run and writes what it came to: report.html, report.json, model.onnx. */

import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { parseBeta } from "../../bayes/beta.ts";
import { type AnyDataset, imageSize, isStreamed } from "../../data/dataset.ts";
import { inMemory } from "../../data/source.ts";
import type { ShownThreshold } from "../../likelihoods/shared/blocks.ts";
import type { Figure, Quality } from "../../likelihoods/shared/likelihood.ts";
import type { Model } from "../../models/model.ts";
import { precisionOn } from "../../native/device.ts";
import { exportOnnx } from "../../onnx/export.ts";
import { type EvaluateResult, evaluate } from "../../predict/predict.ts";
import type { PruningRow } from "../../prune/pruneExperiment.ts";
import type { ComparisonRow, ReportData, ReportImages, ReportOod } from "../../report/data.ts";
import { drawReport } from "../../report/html.ts";
import { pageOf, type ReportSummary } from "../../report/summary.ts";
import type { EpochRecord } from "../../train/fit.ts";
import { writeFileAtomic } from "../../util/atomic.ts";
import { BayesError } from "../../util/errors.ts";
import { readJson } from "../../util/json.ts";
import { version } from "../../util/package.ts";
import { fitting } from "../../util/text.ts";
import { table } from "./output.ts";
import { FILES, type RunConfig, readConfig } from "./run-folder.ts";
import { shown } from "./training.ts";

/** Runs the test set; the Monte-Carlo noise is a function of the seed. */
export function testModel(
  model: Model,
  test: AnyDataset,
  config: RunConfig,
  options: { samples?: number; seed?: number; signal?: AbortSignal } = {},
): Promise<EvaluateResult> {
  const { samples = config.testSamples, seed = config.testSeed, signal } = options;
  return evaluate(model, test, {
    samples,
    seed,
    precision: precisionOn(model.store.device, config.training.precision),
    signal,
  });
}

const tested = z.object({ test: z.looseObject({ nll: z.number().nullable() }) });

/** The tested figures of another run, to print beside one's own. @throws BayesError when it has no report yet */
export function comparisonRow(dir: string): ComparisonRow {
  const { model, pruning } = readConfig(dir);
  const path = join(dir, FILES.reportJson);
  try {
    const { test } = tested.parse(readJson(path));
    const metrics = Object.fromEntries(Object.entries(test).filter(([, v]) => typeof v === "number"));
    return {
      name: `${model.model}${model.bayesian === false ? ", frequentist" : ""}${pruning ? ", pruned" : ""} (${basename(resolve(dir))})`,
      metrics: metrics as Record<string, number>,
    };
  } catch {
    throw new BayesError(
      `[--compare] expected a run that was tested, received ${dir} without a readable ${FILES.reportJson}`,
      { code: "ERR_BAYES_FILE" },
    );
  }
}

/** This run and the others, as lines of a table: the likelihood's first figures. */
export function comparisonTable({ likelihood }: Model, own: Quality, others: readonly ComparisonRow[]): string[] {
  return qualityTable(likelihood.figures.slice(0, 3), "beside", [{ name: "this run", metrics: own }, ...others]);
}

/** Rows of figures under their titles. */
export function qualityTable(figures: readonly Figure[], head: string, rows: readonly ComparisonRow[]): string[] {
  const cells = ({ name, metrics }: ComparisonRow) => [
    fitting(`  ${name}`),
    ...figures.map((f) => (metrics[f.name] === undefined ? "–" : shown(f, metrics[f.name]))),
  ];
  return table([[head, ...figures.map((f) => f.title)], ...rows.map(cells)]);
}

/** What the report is made from besides the test. */
export interface ReportParts {
  readonly title?: string;
  /** The run's training set: what the baseline is made from. */
  readonly train?: AnyDataset;
  readonly history?: readonly EpochRecord[];
  readonly trainingSeconds?: number;
  readonly threshold?: ShownThreshold;
  readonly ood?: ReportOod;
  readonly notes?: readonly string[];
  readonly pruning?: readonly PruningRow[];
  readonly comparison?: readonly ComparisonRow[];
}

/** Writes report.html and report.json. @returns what is in the latter */
export async function writeReport(
  dir: string,
  model: Model,
  test: AnyDataset,
  config: RunConfig,
  { prediction, targets }: EvaluateResult,
  parts: ReportParts,
): Promise<ReportSummary> {
  const { likelihood, bayesian, stochastic, targetShape } = model;
  const { training } = config;
  const { title, train, history, trainingSeconds, threshold, ood, notes, pruning, comparison } = parts;
  const data: ReportData = {
    title: title ?? `${model.name} on ${test.name}`,
    setup: {
      model: model.name + (bayesian ? "" : " (frequentist)"),
      data: `${basename(config.data.name)}, ${config.data.train} to train on, ${test.count} to test on`,
      parameters: model.parameterCount,
      ...(bayesian
        ? {
            posterior: model.bayes.posterior.name,
            prior: model.bayes.prior.name,
            estimator: model.bayes.estimator,
            beta: parseBeta(training.beta!).name,
          }
        : {}),
      samples: prediction.samples,
      epochs: history?.length ?? training.epochs,
      seed: training.seed,
      precision: training.precision,
      device: model.store.device.name,
      trainingSeconds,
      version,
    },
    test: { likelihood, prediction, targets, bayesian: stochastic, images: await shownImages(test) },
    ...(train ? { trainingTargets: likelihood.targets("report", train, targetShape) } : {}),
    ...(history?.length ? { history, tested: testedEpoch(history, config) } : {}),
    threshold,
    ood,
    notes,
    pruning,
    ...(comparison?.length ? { comparison } : {}),
    config,
  };
  const page = pageOf(data);
  const html = await drawReport(page, data.test?.images);
  writeFileAtomic(join(dir, FILES.reportJson), `${JSON.stringify(page.summary, null, 2)}\n`);
  writeFileAtomic(join(dir, FILES.reportHtml), html);
  return page.summary;
}

/** Images for the report's pictures; none of a set that does not belong into memory. */
async function shownImages(test: AnyDataset): Promise<ReportImages | undefined> {
  const [height, width, channels] = test.shape;
  if (isStreamed(test) && test.count * imageSize(test.shape) > SHOWN_BYTES) return undefined;
  const { images } = isStreamed(test) ? await inMemory(test) : test;
  return { height, width, channels, pixels: images };
}
const SHOWN_BYTES = 2 ** 28;

/** The epoch whose weights were tested: the last one, or that of the lowest validation NLL where the run ended with those. */
function testedEpoch(history: readonly EpochRecord[], { training }: RunConfig): number {
  const last = history.length - 1;
  if (training.weights === "final") return last;
  const nll = (i: number) => history[i].valid?.nll ?? Infinity;
  return history.reduce((best, _, i) => (nll(i) < nll(best) ? i : best), last);
}

/** The posterior means as an ONNX model that takes pixels as they are stored. */
export function writeOnnx(dir: string, model: Model): string {
  const path = join(dir, FILES.onnx);
  exportOnnx(model, { mode: "mean", path });
  return path;
}
