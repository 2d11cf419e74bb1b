/** Tests a trained run and writes what it came to: report.html, report.json, model.onnx. */
import { join } from "node:path";
import { parseBeta } from "../bayes/beta.ts";
import type { Dataset } from "../data/dataset.ts";
import type { Model } from "../models/model.ts";
import { exportOnnx } from "../onnx/export.ts";
import { type Evaluation, evaluate, type Prediction, type Uncertainty } from "../predict/predict.ts";
import type { PruningRow, ReportData } from "../report/data.ts";
import { buildReport } from "../report/html.ts";
import { reportJson } from "../report/summary.ts";
import type { EpochRecord } from "../train/fit.ts";
import { writeFileAtomic } from "../util/atomic.ts";
import { FILES, type RunConfig } from "./run-folder.ts";
import { version } from "./version.ts";

export interface Tested {
  readonly evaluation: Evaluation;
  readonly prediction: Prediction;
  readonly uncertainty: Uncertainty;
}

/** Runs the test set; the Monte-Carlo noise is a function of the seed. */
export function testModel(
  model: Model,
  test: Dataset,
  config: RunConfig,
  options: { samples?: number; seed?: number; signal?: AbortSignal } = {},
): Promise<Tested> {
  const { samples = config.testSamples, seed = config.training.seed, signal } = options;
  return evaluate(model, test, { samples, seed, normalise: config.normalise, signal });
}

/** What the report is made from besides the test. */
export interface ReportParts {
  readonly title?: string;
  readonly history?: readonly EpochRecord[];
  readonly trainingSeconds?: number;
  readonly pruning?: readonly PruningRow[];
}

export async function writeReport(
  dir: string,
  model: Model,
  test: Dataset,
  config: RunConfig,
  tested: Tested,
  parts: ReportParts,
): Promise<void> {
  const { prediction, uncertainty } = tested;
  const [height, width, channels] = test.shape;
  const { training } = config;
  const data: ReportData = {
    title: parts.title ?? `${model.name} on ${test.name}`,
    setup: {
      model: model.name + (model.bayesian ? "" : " (frequentist)"),
      data: `${config.data.name}, ${config.data.train} to train on, ${config.data.test} to test on`,
      parameters: model.parameterCount,
      ...(model.bayesian
        ? {
            posterior: model.bayes.posterior.name,
            prior: model.bayes.prior.name,
            estimator: model.bayes.estimator,
            beta: parseBeta(training.beta!).name,
          }
        : {}),
      samples: prediction.samples,
      epochs: parts.history?.length ?? training.epochs,
      seed: training.seed,
      device: model.store.device.name,
      trainingSeconds: parts.trainingSeconds,
      version,
    },
    test: {
      probs: prediction.probabilities,
      labels: test.labels,
      ...(model.bayesian ? { epistemic: uncertainty.epistemicTotal, aleatoric: uncertainty.aleatoricTotal } : {}),
      images: { height, width, channels, pixels: test.images },
    },
    classNames: test.classes,
    history: parts.history?.map((r) => ({
      step: r.step,
      epoch: r.epoch,
      loss: r.loss,
      nll: r.nll,
      kl: r.kl,
      validationNll: r.valid?.nll,
      validationAccuracy: r.valid?.accuracy,
    })),
    ...(parts.pruning ? { pruning: parts.pruning } : {}),
    config,
  };
  const page = await buildReport(data);
  writeFileAtomic(join(dir, FILES.reportJson), `${JSON.stringify(reportJson(data), null, 2)}\n`);
  writeFileAtomic(join(dir, FILES.reportHtml), page);
}

/** The posterior means as an ONNX model that takes pixels as they are stored. */
export function writeOnnx(dir: string, model: Model, config: RunConfig, classNames: readonly string[]): string {
  const path = join(dir, FILES.onnx);
  exportOnnx(model, { mode: "mean", path, normalise: config.normalise, softmax: true, classNames });
  return path;
}
