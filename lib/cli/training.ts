/** One training run from its recipe to its results; what `train`, `prune` (fine-tuning) and `start` have in common. */
import { readdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseBeta } from "../bayes/beta.ts";
import type { ClassDataset, Dataset } from "../data/dataset.ts";
import type { Model } from "../models/model.ts";
import { type Evaluation, evaluate } from "../predict/predict.ts";
import { loadCheckpoint, restore } from "../train/checkpoint.ts";
import { type EpochRecord, type FitOptions, type FitResult, fit } from "../train/fit.ts";
import { adam, adamw, type Optimizer, sgd } from "../train/optimizers.ts";
import { parseRate } from "../train/schedules.ts";
import { duration } from "../util/progress.ts";
import { type Context, Interrupted } from "./options.ts";
import { colours, count, fixed, type Output, percent, table } from "./output.ts";
import { FILES, type RunConfig, type RunData, weightsOf } from "./run-folder.ts";

const optimizers: Record<RunConfig["training"]["optimizer"], () => Optimizer> = {
  adam: () => adam(),
  adamw: () => adamw(),
  sgd: () => sgd({ momentum: 0.9 }),
};

/** What a run is about to do, in a few lines. */
export function announce({ out }: Context, model: Model, config: RunConfig, runDir: string, threads: number): void {
  const { training, data } = config;
  const device = model.store.device.name;
  out.event("start", { runDir, parameters: model.parameterCount, device, threads, config });
  const c = colours();
  const settings = model.bayes;
  out.line(c.bold(`${model.name}${model.bayesian ? "" : ", frequentist,"} on ${data.name}`));
  const rows = [
    ["parameters", count(model.parameterCount) + (model.bayesian ? " (a weight has two: mean and spread)" : "")],
    ["images", `${count(data.train)} to train on, ${count(data.valid)} to validate on, ${count(data.test)} to test on`],
    ...(model.bayesian
      ? [
          ["posterior", `${settings.posterior.name}, prior ${settings.prior.name}, ${settings.estimator} estimator`],
          ["beta", `${parseBeta(training.beta!).name}, the weight of the KL term (1 is the ELBO)`],
        ]
      : []),
    [
      "optimizer",
      `${training.optimizer}, learning rate ${parseRate(training.learningRate).name}, batch ${training.batchSize}`,
    ],
    ...(training.precision === "fp32" ? [] : [["precision", training.precision]]),
    ["device", `${device}, ${threads} thread${threads === 1 ? "" : "s"}`],
    ["run folder", runDir],
  ];
  for (const [name, value] of rows) out.line(`  ${c.dim(name.padEnd(11))} ${value}`);
  out.line();
}

/**
 * Trains, or goes on with a run, and leaves the weights in the model that the recipe asks for.
 * @throws Interrupted after Ctrl-C, when the checkpoint is written and it has been said how to go on
 */
export async function trainRun(
  model: Model,
  data: RunData,
  config: RunConfig,
  runDir: string,
  resume: boolean,
  context: Context,
): Promise<FitResult> {
  const { out } = context;
  const result = await fit(model, data, fitOptions(model, data, config, runDir, resume, context));
  out.event("checkpoint", { path: join(runDir, FILES.checkpoint), steps: result.steps });
  if (result.stopped) throw stoppedRun(out, runDir, result.steps);
  if (config.training.weights === "best") restore(model, loadCheckpoint(weightsOf(runDir, config).path));
  return result;
}

/** Says how to go on with a run that Ctrl-C has stopped. */
export function stoppedRun(out: Output, runDir: string, steps?: number): Interrupted {
  const resume = `bayescnn train --resume ${runDir}`;
  out.event("stopped", { runDir, steps, resume });
  out.line(`stopped${steps === undefined ? "" : ` after ${count(steps)} steps`}; saved. Go on with:\n  ${resume}`);
  return new Interrupted("stopped");
}

/** The recipe in fit's own terms. */
export function fitOptions(
  model: Model,
  { valid }: RunData,
  config: RunConfig,
  runDir: string,
  resume: boolean,
  context: Context,
): FitOptions {
  const { training: t } = config;
  const epochLine = epochPrinter(context.out, model.bayesian, t.epochs);
  return {
    epochs: t.epochs,
    batchSize: t.batchSize,
    optimizer: optimizers[t.optimizer](),
    learningRate: parseRate(t.learningRate),
    beta: t.beta === undefined ? undefined : parseBeta(t.beta),
    samples: t.samples,
    seed: t.seed,
    precision: t.precision,
    clipNorm: t.clipNorm,
    normalise: config.normalise,
    augment: t.augment,
    ...(valid ? { evaluate: validator(config), bestCheckpoint: t.weights === "best" } : {}),
    earlyStopping: t.patience === undefined ? undefined : { patience: t.patience },
    runDir,
    resume,
    signal: context.signal,
    progress: context.progress,
    callbacks: {
      onEpoch(record) {
        // the bar is drawn again below the line
        if (context.progress) process.stderr.write("\r\x1b[2K");
        context.out.event("epoch", { ...record, epochs: t.epochs });
        epochLine(record);
      },
    },
  };
}

/** Figures of the validation set: a function of the recipe and the parameters alone, so a resumed run sees the same. */
function validator(config: RunConfig) {
  const { validationSamples, seed, precision } = config.training;
  return async (model: Model, valid: Dataset): Promise<Record<string, number>> => {
    const options = { samples: validationSamples, seed, precision, normalise: config.normalise };
    const { accuracy, nll, ece, brier } = (await evaluate(model, valid as ClassDataset, options)).evaluation;
    return { accuracy, nll, ece, brier };
  };
}

function epochPrinter(out: Output, bayesian: boolean, epochs: number): (record: EpochRecord) => void {
  let last = performance.now();
  let first = true;
  const width = String(epochs).length;
  return (r) => {
    const seconds = (performance.now() - last) / 1000;
    last = performance.now();
    const cells: [string, string][] = [
      ["epoch".padEnd(2 * width + 1), `${String(r.epoch + 1).padStart(width)}/${epochs}`],
      ["loss", fixed(r.loss)],
      ["NLL", fixed(r.nll)],
      ...(bayesian ? ([["KL, nats", r.kl!.toFixed(0)]] as [string, string][]) : []),
      ["accuracy", percent(r.accuracy)],
      ...(r.valid
        ? ([
            ["valid. NLL", fixed(r.valid.nll)],
            ["valid. accuracy", percent(r.valid.accuracy)],
          ] as [string, string][])
        : []),
      ["time", duration(seconds)],
    ];
    const widths = cells.map(([name, cell]) => Math.max(name.length, cell.length, name === "time" ? 6 : 8));
    if (first) out.line(colours().dim(cells.map(([name], i) => name.padStart(widths[i])).join("  ")));
    out.line(cells.map(([, cell], i) => cell.padStart(widths[i])).join("  "));
    first = false;
  };
}

/** The figures of a test in the order in which people want them. */
export function testTable(e: Evaluation, samples: number): string[] {
  const unit = samples === 1 ? "one pass" : `${samples} Monte-Carlo samples`;
  return [
    `test on ${count(e.count)} images, ${unit}`,
    ...table(
      [
        ["  accuracy", percent(e.accuracy), "images whose most probable class is right"],
        ["  NLL", fixed(e.nll), "nats; surprise at the true class"],
        ["  Brier", fixed(e.brier), "squared error of the probabilities"],
        ["  ECE", fixed(e.ece), "gap between confidence and accuracy, 15 bins"],
        ["  adaptive ECE", fixed(e.adaptiveEce), "the same with equally filled bins"],
        ["  epistemic", fixed(e.epistemic, 6), "variance between the samples: more data would help"],
        ["  aleatoric", fixed(e.aleatoric, 6), "variance within the samples: the images are unclear"],
      ],
      "left",
    ),
  ];
}

/** The figures of a test as JSON. */
export function testFields(e: Evaluation, samples: number): Record<string, number> {
  const { accuracy, nll, ece, brier, adaptiveEce, confidence, epistemic, aleatoric, count: images } = e;
  return { accuracy, nll, ece, epistemic, aleatoric, brier, adaptiveEce, confidence, count: images, samples };
}

/** Takes back a run folder in which nothing has come to be. */
export function discardRun(dir: string): void {
  clearRun(dir);
  if (readdirSync(dir).length === 0) rmdirSync(dir);
}

/** Removes what an earlier run left in the folder, and nothing else. */
export function clearRun(dir: string): void {
  for (const name of Object.values(FILES)) rmSync(join(dir, name), { force: true });
}
