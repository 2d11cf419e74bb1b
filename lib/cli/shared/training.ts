/** One training run from its recipe to its results; what `train`, `prune` (fine-tuning) and `start` have in common. */
import { existsSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseBeta } from "../../bayes/beta.ts";
import type { ClassDataset } from "../../data/dataset.ts";
import { classWeights } from "../../data/weights.ts";
import type { Figure } from "../../likelihoods/shared/likelihood.ts";
import { UNCERTAINTY } from "../../likelihoods/shared/moments.ts";
import type { ArchitectureConfig } from "../../models/create.ts";
import type { Model } from "../../models/model.ts";
import type { EvaluateResult } from "../../predict/predict.ts";
import { type EpochRecord, type FitOptions, type FitResult, fit } from "../../train/fit.ts";
import type { HeldLock } from "../../train/lock.ts";
import { adam, adamw, type Optimizer, sgd } from "../../train/optimizers.ts";
import { parseRate } from "../../train/schedules.ts";
import { fileError } from "../../util/atomic.ts";
import { BayesError } from "../../util/errors.ts";
import { duration } from "../../util/progress.ts";
import { statOf } from "../../util/regular.ts";
import type { Context } from "./options.ts";
import { count, fixed, lines, type Output, percent, table } from "./output.ts";
import type { RunData } from "./run-data.ts";
import { FILES, type RunConfig } from "./run-folder.ts";
import { standard } from "./standard.ts";
import { augmentText } from "./train-options.ts";

const optimizers: Record<RunConfig["training"]["optimizer"], () => Optimizer> = {
  adam: () => adam(),
  adamw: () => adamw(),
  sgd: () => sgd({ momentum: 0.9 }),
};

const described = ({ likelihood: { config } }: Model): string =>
  config.kind + (config.noise === undefined ? "" : `, noise ${config.noise}`);

/** The parts of an architecture that may be chosen, by name. */
export function chosenParts({ config }: Model): [name: string, text: string][] {
  const { activation, norm, width, dropout, dropoutAfter, monteCarloDropout } = config as Partial<ArchitectureConfig>;
  const where = dropoutAfter ? ` behind ${dropoutAfter.join(", ") || "nothing"}` : "";
  const always = monteCarloDropout ? ", also in predictions" : "";
  return [
    ...(activation === undefined ? [] : [["activation", activation] as [string, string]]),
    ...(norm === undefined ? [] : [["norm", norm] as [string, string]]),
    ...(width === undefined ? [] : [["width", String(width)] as [string, string]]),
    ...(dropout === undefined ? [] : [["dropout", `rate ${dropout}${where}${always}`] as [string, string]]),
  ];
}

/** What a run is about to do, in a few lines. */
export function announce({ out }: Context, model: Model, config: RunConfig, runDir: string, threads: number): void {
  const { training, data } = config;
  const device = model.store.device.name;
  out.event("start", { runDir, parameters: model.parameterCount, device, threads, config });
  const settings = model.bayes;
  out.line(["bold", `${model.name}${model.bayesian ? "" : ", frequentist,"} on ${data.name}`]);
  const rows = [
    ["parameters", count(model.parameterCount) + (model.bayesian ? " (a weight has two: mean and spread)" : "")],
    ...(model.likelihood.config.kind === "categorical" ? [] : [["likelihood", described(model)]]),
    ...chosenParts(model),
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
    ...(training.augment ? [["augment", augmentText(training.augment)]] : []),
    ...(training.precision === "fp32" ? [] : [["precision", training.precision]]),
    ["device", device + (model.store.device.kind === "cpu" ? `, ${threads} thread${threads === 1 ? "" : "s"}` : "")],
    ["run folder", runDir],
  ];
  for (const [name, value] of rows) out.line("  ", ["dim", name.padEnd(11)], ` ${value}`);
  out.line();
}

/**
 * Trains, or goes on with a run, and leaves the weights in the model that the recipe asks for.
 * @throws Interrupted after a signal, when the checkpoint is written and it has been said how to go on
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
  if (result.stopped) throw stoppedRun(context, runDir, result.steps);
  return result;
}

/** Says what is saved of a run that a signal has stopped, and how to go on. Returns the signal's error. */
export function stoppedRun({ out, signal }: Context, runDir: string, steps?: number): Error {
  const resume = `bayescnn train --resume ${quoted(runDir)}`;
  out.event("stopped", { runDir, steps, resume });
  const after = steps === undefined ? "" : steps === 0 ? " before the first step" : ` after ${count(steps)} steps`;
  lines(out, `stopped${after}; saved in ${runDir}. Go on with:`, `  ${resume}`);
  return signal.reason as Error;
}

/** A path as a shell takes it. */
export const quoted = (path: string): string =>
  /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;

/** The recipe in fit's own terms. */
export function fitOptions(
  model: Model,
  { train, valid }: RunData,
  config: RunConfig,
  runDir: string,
  resume: boolean,
  context: Context,
): FitOptions {
  const { training: t } = config;
  const epochLine = epochPrinter(context.out, model, t.epochs);
  return {
    epochs: t.epochs,
    batchSize: t.batchSize,
    optimizer: optimizers[t.optimizer](),
    learningRate: parseRate(t.learningRate),
    beta: t.beta === undefined ? undefined : parseBeta(t.beta),
    initialSigma: t.initialSigma ?? 0,
    samples: t.samples,
    seed: t.seed,
    precision: t.precision,
    clipNorm: t.clipNorm,
    augment: t.augment,
    ...(t.classWeights ? { exampleWeights: classWeights(train as ClassDataset, t.classWeights) } : {}),
    validationSamples: t.validationSamples,
    ...(valid ? { bestCheckpoint: t.weights === "best", restoreBest: t.weights === "best" } : {}),
    earlyStopping: t.patience === undefined ? undefined : { patience: t.patience },
    runDir,
    resume,
    signal: context.signal,
    progress: context.progress,
    callbacks: {
      onNote: (sentence) => context.out.note(sentence),
      onEpoch(record) {
        // the bar is drawn again below the line
        if (context.progress) standard.write("stderr", "\r\x1b[2K");
        context.out.event("epoch", { ...record, epochs: t.epochs });
        epochLine(record);
      },
    },
  };
}

function epochPrinter(out: Output, { bayesian, likelihood }: Model, epochs: number): (record: EpochRecord) => void {
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
      ...Object.entries(r.metrics).map(([name, value]): [string, string] => {
        const figure = likelihood.figures.find((f) => f.name === name);
        return [figure?.title ?? name, shown(figure, value)];
      }),
      ...likelihood.figures.slice(0, 2).flatMap((figure): [string, string][] => {
        const value = r.valid?.[figure.name];
        return value === undefined ? [] : [[`valid. ${figure.title}`, shown(figure, value)]];
      }),
      ["time", duration(seconds)],
    ];
    const widths = cells.map(([name, cell]) => Math.max(name.length, cell.length, name === "time" ? 6 : 8));
    if (first) out.line(["dim", cells.map(([name], i) => name.padStart(widths[i])).join("  ")]);
    out.line(cells.map(([, cell], i) => cell.padStart(widths[i])).join("  "));
    first = false;
  };
}

/**
 * The figures of a test in the order in which people want them.
 * @param options split: false leaves epistemic and aleatoric out, whose hints are about the images
 */
export function testTable(
  { likelihood }: Model,
  { prediction, metrics }: EvaluateResult,
  { split = true }: { readonly split?: boolean } = {},
): string[] {
  const { samples, count: images } = prediction;
  const unit = samples === 1 ? "one pass" : `${samples} Monte-Carlo samples`;
  const rows = likelihood.figures.flatMap((f) =>
    metrics[f.name] === undefined || (!split && UNCERTAINTY.includes(f))
      ? []
      : [[`  ${f.title}`, shown(f, metrics[f.name]), f.hint]],
  );
  return [`test on ${count(images)} images, ${unit}`, ...table(rows, "left")];
}

/** One figure as text. */
export function shown(figure: Figure | undefined, value: number): string {
  if (figure?.share) return percent(value);
  return fixed(value, figure?.better === undefined ? 6 : 4);
}

/** The figures of a test as JSON. */
export const testFields = ({ prediction, metrics }: EvaluateResult): Record<string, number> => ({
  ...metrics,
  count: prediction.count,
  samples: prediction.samples,
});

/** Takes back what a new run has written, where nothing has come to be: the next try finds the folder as it was. */
export function discardRun(lock: HeldLock): void {
  if (lock.ours() && !existsSync(join(lock.path, FILES.checkpoint))) clearRun(lock.path);
}

/** Removes what an earlier run left in the folder, and nothing else: all of it, or nothing where a folder has such a name. */
export function clearRun(dir: string): void {
  const files = Object.values(FILES).map((name) => join(dir, name));
  const folder = files.find((file) => statOf(file)?.isDirectory());
  if (folder !== undefined)
    throw new BayesError(`[run folder] expected a file of a run, received ${folder}, which is a directory`, {
      code: "ERR_BAYES_FILE",
    });
  for (const file of files.toReversed()) // its recipe last
    try {
      rmSync(file, { force: true });
    } catch (error) {
      throw fileError(error, "remove", file);
    }
}
