import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { peekCheckpoint } from "../../checkpoints/checkpoint.ts";
import { checkTrainingClasses } from "../../data/classes.ts";
import { parseSize } from "../../data/images.ts";
import { loadData } from "../../data/locate.ts";
import type { Model } from "../../models/model.ts";
import { threads } from "../../native/device.ts";
import type { ComparisonRow } from "../../report/data.ts";
import { splitMeans } from "../../report/diagnosis.ts";
import type { HeldLock } from "../../train/lock.ts";
import { BayesError, fail } from "../../util/errors.ts";
import { takeWeights, weightsSource, withSource } from "../shared/from.ts";
import { type Context, inContext, shared, UsageError } from "../shared/options.ts";
import { lines } from "../shared/output.ts";
import { recipe } from "../shared/recipe.ts";
import { comparisonRow, comparisonTable, testModel, writeOnnx, writeReport } from "../shared/results.ts";
import { type RunData, readOptions, remarks, runData, splitData } from "../shared/run-data.ts";
import {
  createRun,
  FILES,
  lockRun,
  modelOf,
  newRunDir,
  type RunConfig,
  readConfig,
  writeConfig,
} from "../shared/run-folder.ts";
import { type TrainOptions, trainOptions } from "../shared/train-options.ts";
import { announce, discardRun, stoppedRun, testFields, testTable, trainRun } from "../shared/training.ts";

/** `bayescnn train`. */
export function trainCommand(root: Command): void {
  const command = root
    .command("train")
    .description("train a network, test it, and write report and ONNX model into a run folder");
  shared(command, trainOptions, {
    out: "run folder, new or empty (default: runs/MODEL-DATA-TIME)",
    seed: "seed of parameters, noise, data order and split (default: 1)",
    example: "bayescnn train --model lenet5 --data mnist --epochs 20 --seed 1",
  }).action((options: TrainOptions) =>
    inContext(
      options,
      (context) =>
        options.resume === undefined ? fresh(options, context, command) : resumed(options, context, command),
      { product: false, signals: "save" },
    ),
  );
}

async function fresh(options: TrainOptions, context: Context, command: Command): Promise<void> {
  const beside = (options.compare ?? []).map(comparisonRow);
  const source = weightsSource(options, command);
  const { imageSize, background, skipCorrupt, stream = "auto" } = options;
  const size = imageSize === undefined ? undefined : parseSize(imageSize);
  const all = await context.until(
    loadData(options.data, options.dataDir, {
      ...readOptions({ imageSize: size, background, skipCorrupt }),
      stream,
      signal: context.signal,
    }),
  );
  checkTrainingClasses("train", all.train);
  const notes: string[] = [];
  const asked = recipe({ ...options, ...source?.options }, all, (note) => notes.push(note));
  const config = source ? withSource(asked, source, options, (note) => notes.push(note)) : asked;
  const runDir = options.out ?? newRunDir(String(config.model.model), all.train.name);
  const data = { ...splitData(all, config.data), test: all.test };
  using model = modelOf(config);
  takeWeights(model, config);
  if (config.training.batchSize > data.train.count)
    fail("train", `--batch of at most ${data.train.count}, the number of training images`, config.training.batchSize);
  using lock = createRun(runDir, config);
  const how = { resume: false, beside, notes: [...notes, ...remarks(all, data)] };
  try {
    await whole(model, data, config, lock, how, context);
  } catch (error) {
    discardRun(lock);
    throw error;
  }
}

/** What may be said together with --resume: nothing that would make it another run. */
const FREE_ON_RESUME = ["resume", "json", "device", "threads", "dataDir", "epochs", "compare"];

async function resumed(options: TrainOptions, context: Context, command: Command): Promise<void> {
  const given = command.options.find(
    (o) => command.getOptionValueSource(o.attributeName()) === "cli" && !FREE_ON_RESUME.includes(o.attributeName()),
  );
  if (given)
    throw new UsageError(
      `[train] expected --resume to take every setting from the run, received ${given.long} as well`,
    );
  const runDir = options.resume!;
  const beside = (options.compare ?? []).map(comparisonRow);
  using lock = lockRun(runDir);
  const before = readConfig(runDir);
  const epochs = options.epochs ?? before.training.epochs;
  if (epochs < before.training.epochs)
    fail("train", `--epochs of at least ${before.training.epochs}, those of the run`, epochs);
  const config = { ...before, training: { ...before.training, epochs } };
  const data = await context.until(runData(config, options.dataDir));
  using model = modelOf(config);
  const checkpoint = join(runDir, FILES.checkpoint);
  if (config.pruning && !existsSync(checkpoint))
    throw new BayesError(
      `[train] expected a pruned run with a checkpoint, received ${runDir} without one; prune again`,
      { code: "ERR_BAYES_FILE" },
    );
  if (!existsSync(checkpoint)) takeWeights(model, config);
  if (epochs !== before.training.epochs) writeConfig(runDir, config);
  try {
    await whole(model, data, config, lock, { resume: true, beside }, context);
  } catch (error) {
    if (lock.ours() && plannedEpochs(checkpoint) !== epochs) writeConfig(runDir, before); // it never went on
    throw error;
  }
}

/** For how many epochs a run was planned when its checkpoint was saved; undefined where there is none to be read. */
function plannedEpochs(checkpoint: string): number | undefined {
  try {
    return peekCheckpoint(checkpoint).training?.epochs;
  } catch {
    return undefined;
  }
}

/** Trains, tests, and writes the results. */
async function whole(
  model: Model,
  data: RunData,
  config: RunConfig,
  lock: HeldLock,
  { resume, beside, notes = [] }: { resume: boolean; beside: readonly ComparisonRow[]; notes?: readonly string[] },
  context: Context,
): Promise<void> {
  const { out, signal, until } = context;
  const runDir = lock.path;
  announce(context, model, config, runDir, threads());
  for (const sentence of notes) out.note(sentence);
  const result = await trainRun(model, data, config, runDir, resume, context);
  const saved = (error: unknown) => {
    throw signal.aborted ? stoppedRun(context, runDir, result.steps) : error;
  };
  const tested = await testModel(model, data.test, config, { signal }).catch(saved);
  lock.check();
  const report = {
    train: data.train,
    history: result.history,
    trainingSeconds: result.wall.seconds,
    comparison: beside,
    notes,
  };
  const { verdict, diagnosis = [] } = await until(writeReport(runDir, model, data.test, config, tested, report)).catch(
    saved,
  );
  writeOnnx(runDir, model);
  lines(out, "", ...testTable(model, tested, { split: !verdict || splitMeans(verdict) }), "", ...diagnosis);
  if (beside.length > 0) lines(out, "", ...comparisonTable(model, tested.metrics, beside));
  lines(out, "", `report  ${join(runDir, FILES.reportHtml)}`, `model   ${join(runDir, FILES.onnx)}`);
  const { beta } = config.training;
  out.event("done", {
    end: result.end,
    steps: result.steps,
    epochs: result.history.length,
    seconds: result.wall.seconds,
    best: result.best,
    test: testFields(tested),
    diagnosis,
    beta: beta === undefined ? null : Number.isFinite(Number(beta)) ? Number(beta) : beta,
    ...(beside.length > 0 ? { beside } : {}),
    runDir,
  });
}
