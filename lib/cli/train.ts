import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Command, Option } from "commander";
import { parseBeta } from "../bayes/beta.ts";
import { peekCheckpoint } from "../checkpoints/checkpoint.ts";
import { checkTrainingClasses } from "../data/classes.ts";
import { parseSize } from "../data/images.ts";
import { DATASETS, loadData } from "../data/locate.ts";
import { likelihoodNames } from "../likelihoods/known.ts";
import { answering } from "../models/create.ts";
import type { Model } from "../models/model.ts";
import { threads } from "../native/device.ts";
import type { ComparisonRow } from "../report/data.ts";
import { splitMeans } from "../report/diagnosis.ts";
import { defaults } from "../train/defaults.ts";
import type { HeldLock } from "../train/lock.ts";
import { BayesError, fail } from "../util/errors.ts";
import { takeWeights, weightsSource, withSource } from "./from.ts";
import {
  type Context,
  decimal,
  inContext,
  integer,
  path,
  precision,
  several,
  shared,
  spec,
  UsageError,
} from "./options.ts";
import { lines } from "./output.ts";
import {
  parseAugment,
  parseDropout,
  parseNoise,
  parsePosterior,
  parsePrior,
  parseWeights,
  rateText,
  recipe,
  type TrainOptions,
} from "./recipe.ts";
import { comparisonRow, comparisonTable, testModel, writeOnnx, writeReport } from "./results.ts";
import { type RunData, readOptions, remarks, runData, splitData } from "./run-data.ts";
import {
  createRun,
  FILES,
  lockRun,
  modelOf,
  newRunDir,
  type RunConfig,
  readConfig,
  writeConfig,
} from "./run-folder.ts";
import { announce, discardRun, stoppedRun, testFields, testTable, trainRun } from "./training.ts";

/** `bayescnn train`. */
export function trainCommand(root: Command): void {
  const command = root
    .command("train")
    .description("train a network, test it, and write report and ONNX model into a run folder")
    .addOption(new Option("--model <name>", "architecture").choices(answering).default(defaults.model))
    .option(
      "--data <name>",
      `${DATASETS.join(", ")}, a folder of images with one folder a class, or a table of images (.csv, .jsonl)`,
      path,
      defaults.data,
    )
    .option("--data-dir <dir>", "where the data sets are (default: BAYESCNN_DATA, else ./data)", path)
    .option("--image-size <size>", "resize the images of a folder or table: n, or HEIGHTxWIDTH", spec(parseSize))
    .option("--background <colour>", "colour behind transparent images (default: white)")
    .option("--stream", "decode images when they are needed, also where they would fit into memory")
    .option("--skip-corrupt", "leave out images that cannot be decoded, and say which")
    .addOption(
      new Option(
        "--likelihood <name>",
        "what the targets are (default: categorical for classes, gaussian for numbers)",
      ).choices(likelihoodNames),
    )
    .option(
      "--noise <scale>",
      "of gaussian and laplace: learned, predicted for each value, or its known scale (default: learned)",
      spec(parseNoise),
    )
    .option("--class-weights <spec>", "balanced, or a weight for each class as cat:2,dog:1", spec(parseWeights))
    .option("--validation <n>", "training images kept for validation (default: a twelfth)", integer(0))
    .option(
      "--epochs <n>",
      `how often every image is seen (default: ${defaults.epochs}, more on few images)`,
      integer(1),
    )
    .option("--batch <n>", `images in one step (default: ${defaults.batchSize}, fewer of few images)`, integer(1))
    .option("--lr <rate>", "learning rate", decimal(0), defaults.learningRate)
    .addOption(
      new Option("--optimizer <name>", "optimizer").choices(["adam", "adamw", "sgd"]).default(defaults.optimizer),
    )
    .option(
      "--schedule <spec>",
      "of the learning rate: constant, cosine[:last], step[:every[:factor]], plateau[:factor[:patience]]",
      spec((text) => rateText(text, 1, 3)),
      defaults.schedule,
    )
    .option("--warmup <epochs>", "epochs over which the learning rate grows to full size", decimal(0))
    .option(
      "--beta <spec>",
      `weight of the KL term: a number (1 is the ELBO), blundell, warmup[:share[:beta]], cosine[:share[:beta]] (default: ${defaults.beta}, less on few images)`,
      spec(parseBeta),
    )
    .option("--samples <n>", "Monte-Carlo samples in one training step", integer(1, 1024), defaults.samples)
    .option("--test-samples <n>", "Monte-Carlo samples in the test", integer(1, 65_536), defaults.testSamples)
    .option("--frequentist", "the same network with plain weights")
    .addOption(
      new Option(
        "--activation <name>",
        "activation (default: softplus; relu with --frequentist and in residual nets)",
      ).choices(["softplus", "relu"]),
    )
    .addOption(
      new Option("--norm <name>", "norm of a residual net (default: batch)").choices(["batch", "filter-response"]),
    )
    .option(
      "--dropout <spec>",
      "RATE of dropout, or RATE:LAYER,LAYER behind these layers alone, as 0.5:conv1,conv3",
      spec(parseDropout),
    )
    .option("--monte-carlo-dropout", "dropout stays on in predictions, which are stochastic by it")
    .option(
      "--posterior <spec>",
      "rho[:rhoInit], alpha[:weight|layer[:logAlphaInit]]",
      spec(parsePosterior),
      defaults.posterior,
    )
    .option(
      "--prior <spec>",
      "gaussian[:sigma], tied[:sigma] (mean of the posterior), mixture[:pi:sigma1:sigma2]",
      spec(parsePrior),
      defaults.prior,
    )
    .addOption(
      new Option("--estimator <name>", "noise on the activations, or on the weights")
        .choices(["local", "weight"])
        .default(defaults.estimator),
    )
    .addOption(
      new Option("--kl <name>", "closed form where there is one, or sampled")
        .choices(["closed", "sampled"])
        .default(defaults.kl),
    )
    .addOption(new Option("--bias <name>", "biases").choices(["bayesian", "point", "none"]).default(defaults.bias))
    .option(
      "--augment [spec]",
      "vary training images: shift:PIXELS, flip, crop[:LEAST-MOST], rotate:DEGREES, brightness:SHARE, contrast:SHARE, cutout:PIXELS, mixup:ALPHA, with commas between (alone: shift and flip by --data)",
      spec(parseAugment),
    )
    .option("--clip <norm>", "largest norm of the gradients", decimal(Number.MIN_VALUE))
    .option(
      "--early-stopping <patience>",
      "stop after so many validations without a better NLL, keep the best weights",
      integer(1),
    )
    .option("--best", "test the weights of the best validation, not the final ones")
    .option(
      "--from <path>",
      "begin with the weights of a run, a checkpoint, or a safetensors or ONNX file: as means, with sigmas of a tenth of them; where its classes are others, the last layer is new",
      path,
    )
    .option("--moped", "with --from: priors N(w, 1) around the weights")
    .option("--head-only", "with --from: train the last layer alone, and leave the others plain and as they are")
    .option("--compare <rundir>", "print another tested run beside this one, such as the frequentist twin", several)
    .option("--resume <rundir>", "go on with a run; all of its settings are kept (--epochs may be raised)", path);
  shared(precision(command), {
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
  const asked = recipe(source ? { ...options, model: source.model } : options, all, (note) => notes.push(note));
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
