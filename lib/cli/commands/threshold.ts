import type { Command } from "commander";
import { amendCheckpoint } from "../../checkpoints/checkpoint.ts";
import { weightsFile } from "../../checkpoints/open.ts";
import { certaintyOf, type Prediction, type Targets } from "../../likelihoods/shared/likelihood.ts";
import type { Model } from "../../models/model.ts";
import { precisionOn } from "../../native/device.ts";
import { evaluate } from "../../predict/predict.ts";
import { chooseThreshold, type SelectiveResult, selective as selectiveOf } from "../../predict/threshold.ts";
import { BayesError } from "../../util/errors.ts";
import {
  type Context,
  decimal,
  declare,
  inContext,
  integer,
  path,
  runDataDir,
  shared,
  UsageError,
  type Values,
} from "../shared/options.ts";
import { count, percent } from "../shared/output.ts";
import { testModel, writeOnnx, writeReport } from "../shared/results.ts";
import { runData } from "../shared/run-data.ts";
import { checkOutput, lockRun, openRunFolder, unfinished } from "../shared/run-folder.ts";

const own = declare()
  .value(
    "--max-error <share>",
    "the answers are to be wrong this often at most (numbers: off by this much)",
    decimal(0),
  )
  .value("--min-coverage <share>", "at least this share of the images is to be answered", decimal(0, 1))
  .value("--samples <n>", "Monte-Carlo samples (default: the run's, as in its predictions)", integer(1, 65_536))
  .and(runDataDir);
type ThresholdOptions = Values<typeof own>;

/** `bayescnn threshold RUNDIR`: from when on the model says "I don't know". */
export function thresholdCommand(root: Command): void {
  shared(
    root
      .command("threshold")
      .description("choose on validation images when a run answers and when it is unsure, and keep that in the run")
      .argument("<rundir>", "folder of a run", path),
    own,
    { out: "also write the JSON lines to this file", example: "bayescnn threshold runs/start --max-error 0.01" },
  ).action((dir: string, options: ThresholdOptions) =>
    inContext(options, (context) => chooseFor(dir, options, context), { linesTo: options.out, product: false }),
  );
}

async function chooseFor(dir: string, options: ThresholdOptions, { out, signal }: Context): Promise<void> {
  const { maxError, minCoverage } = options;
  if ((maxError === undefined) === (minCoverage === undefined))
    throw new UsageError(
      `[threshold] expected --max-error or --min-coverage, received ${maxError === undefined ? "neither" : "both"}`,
    );
  checkOutput("threshold", options.out, dir);
  using lock = lockRun(dir);
  const run = openRunFolder(dir);
  using model = run.model;
  const { config } = run;
  const early = unfinished(run);
  if (early)
    throw new BayesError(`[threshold] expected a finished run, for a threshold holds for its weights alone: ${early}`);
  const { train, valid, test } = await runData(config, options.dataDir);
  if (!valid)
    throw new BayesError(
      "[threshold] expected a run with validation images to choose on, received one trained with --validation 0",
      { code: "ERR_BAYES_DATA" },
    );
  const samples = options.samples ?? config.testSamples;
  const predicting = {
    samples,
    seed: config.testSeed,
    precision: precisionOn(model.store.device, config.training.precision),
    signal,
  };
  const chosenOn = await evaluate(model, valid, predicting);
  const asked = maxError === undefined ? { minCoverage: minCoverage! } : { maxError };
  const threshold = chooseThreshold(model, chosenOn.prediction, chosenOn.targets, asked);
  model.threshold = threshold;
  const tested = await testModel(model, test, config, { samples, signal });
  const found = selective(model, tested.prediction, tested.targets, threshold.certainty);
  lock.check();
  amendCheckpoint(weightsFile(dir), { threshold }); // of these weights alone: others of the run keep theirs
  writeOnnx(dir, model);
  await writeReport(dir, model, test, config, tested, {
    train,
    history: run.checkpoint.training?.history,
    threshold: { ...threshold, risk: found.risk, coverage: found.coverage },
  });
  out.event("threshold", { runDir: dir, threshold, test: found });
  out.line(
    `chosen on ${count(threshold.count)} validation images: ${costly(model, threshold.risk)} of ${percent(threshold.coverage, 1)} answered`,
  );
  out.line(thresholdLine(model, found));
  out.line(`kept in ${dir}: predict, evaluate and the exported model say "unsure" below it`);
}

const isShare = ({ likelihood }: Model): boolean => likelihood.mostCost === 1;
const costly = (model: Model, risk: number): string =>
  isShare(model) ? `${percent(risk)} wrong` : `off by ${Number(risk.toPrecision(3))} on average`;

/** Risk and coverage of a threshold on a prediction with targets. */
export function selective(
  { likelihood }: Model,
  prediction: Prediction,
  targets: Targets,
  certainty: number,
): SelectiveResult {
  return selectiveOf(certaintyOf(likelihood, prediction), likelihood.cost!(prediction, targets), certainty);
}

/** What a threshold does on test images, as a sentence. */
export function thresholdLine(
  model: Model,
  { coverage, risk, interval, answered, count: all }: SelectiveResult,
): string {
  const [low, high] = interval.map((x) => (isShare(model) ? percent(x) : String(Number(x.toPrecision(3)))));
  return `with its threshold it answers ${percent(coverage, 1)} of the test images (${count(answered)} of ${count(all)}): ${costly(model, risk)} (95 % interval ${low} to ${high})`;
}
