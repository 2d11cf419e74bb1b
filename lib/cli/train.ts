import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Command, Option } from "commander";
import { parseBeta } from "../bayes/beta.ts";
import type { TrainTest } from "../data/dataset.ts";
import { DATASETS, isDatasetName, loadData } from "../data/locate.ts";
import { normalisationOf } from "../data/prepare.ts";
import { threads } from "../device.ts";
import { BayesError, fail } from "../errors.ts";
import { createModel, type ModelConfig, modelNames } from "../models/create.ts";
import { loadCheckpoint, restore } from "../train/checkpoint.ts";
import { defaults } from "../train/defaults.ts";
import { parseRate } from "../train/schedules.ts";
import { type Context, decimal, inContext, integer, type SharedOptions, shared, spec, UsageError } from "./options.ts";
import { testModel, writeOnnx, writeReport } from "./results.ts";
import {
  createRun,
  FILES,
  newRunDir,
  type RunConfig,
  readConfig,
  runData,
  splitData,
  validationSize,
  writeConfig,
} from "./run-folder.ts";
import { announce, testFields, testTable, trainRun } from "./training.ts";
import { version } from "./version.ts";

export interface TrainOptions extends SharedOptions {
  readonly model: string;
  readonly data: string;
  readonly dataDir?: string;
  readonly imageSize?: number;
  readonly validation?: number;
  readonly epochs: number;
  readonly batch: number;
  readonly lr: number;
  readonly optimizer: "adam" | "adamw" | "sgd";
  readonly schedule: string;
  readonly warmup?: number;
  readonly beta: string;
  readonly samples: number;
  readonly testSamples: number;
  readonly frequentist?: boolean;
  readonly activation?: "softplus" | "relu";
  readonly posterior: string;
  readonly prior: string;
  readonly estimator: "local" | "weight";
  readonly kl: "closed" | "sampled";
  readonly bias: "bayesian" | "point" | "none";
  readonly augment?: string | boolean;
  readonly clip?: number;
  readonly earlyStopping?: number;
  readonly best?: boolean;
  readonly resume?: string;
}

/** What `train` does when nothing is said. */
export const defaultOptions: TrainOptions = {
  ...defaults,
  device: "auto",
  batch: defaults.batchSize,
  lr: defaults.learningRate,
};

/** `bayescnn train`. */
export function trainCommand(root: Command): void {
  const command = root
    .command("train")
    .description("train a network, test it, and write report and ONNX model into a run folder")
    .addOption(new Option("--model <name>", "architecture").choices(modelNames).default(defaults.model))
    .option("--data <name>", `${DATASETS.join(", ")}, or a folder of images with one folder a class`, defaults.data)
    .option("--data-dir <dir>", "where the data sets are (default: BAYESCNN_DATA, else ./data)")
    .option("--image-size <n>", "resize the images of a folder to n x n", integer(1, 4096))
    .option("--validation <n>", "training images kept for validation (default: a twelfth)", integer(0))
    .option("--epochs <n>", "how often every image is seen", integer(1), defaults.epochs)
    .option("--batch <n>", "images in one step", integer(1), defaults.batchSize)
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
      "weight of the KL term: a number (1 is the ELBO), blundell, warmup[:share[:beta]], cosine[:share[:beta]]",
      spec(parseBeta),
      defaults.beta,
    )
    .option("--samples <n>", "Monte-Carlo samples in one training step", integer(1, 1024), defaults.samples)
    .option("--test-samples <n>", "Monte-Carlo samples in the test", integer(1, 65_536), defaults.testSamples)
    .option("--frequentist", "the same network with plain weights")
    .addOption(
      new Option("--activation <name>", "activation (default: softplus, with --frequentist relu)").choices([
        "softplus",
        "relu",
      ]),
    )
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
      "vary training images: shift:PIXELS, flip, or both with a comma (alone: by --data)",
      spec(parseAugment),
    )
    .option("--clip <norm>", "largest norm of the gradients", decimal(Number.MIN_VALUE))
    .option(
      "--early-stopping <patience>",
      "stop after so many validations without a better NLL, keep the best weights",
      integer(1),
    )
    .option("--best", "test the weights of the best validation, not the final ones")
    .option("--resume <rundir>", "go on with a run; all of its settings are kept (--epochs may be raised)");
  shared(command, {
    out: "run folder, new or empty (default: runs/MODEL-DATA-TIME)",
    seed: "seed of parameters, noise, data order and split (default: 1)",
    example: "bayescnn train --model lenet5 --data mnist --epochs 20 --seed 1",
  }).action((options: TrainOptions) =>
    inContext(options, (context) =>
      options.resume === undefined ? fresh(options, context) : resumed(options, context, command),
    ),
  );
}

async function fresh(options: TrainOptions, context: Context): Promise<void> {
  const all = await loadData(options.data, options.dataDir, { size: options.imageSize });
  const config = recipe(options, all);
  const runDir = options.out ?? newRunDir(options.model, all.train.name);
  const data = { ...splitData(all, config.data), test: all.test };
  using model = createModel(config.model as ModelConfig);
  if (options.batch > data.train.count)
    fail("train", `--batch of at most ${data.train.count}, the number of training images`, options.batch);
  createRun(runDir, config);
  await whole(model, data, config, runDir, false, context);
}

/** What may be said together with --resume: nothing that would make it another run. */
const FREE_ON_RESUME = ["resume", "json", "device", "threads", "dataDir", "epochs"];

async function resumed(options: TrainOptions, context: Context, command: Command): Promise<void> {
  const given = command.options.find(
    (o) => command.getOptionValueSource(o.attributeName()) === "cli" && !FREE_ON_RESUME.includes(o.attributeName()),
  );
  if (given)
    throw new UsageError(
      `[train] expected --resume to take every setting from the run, received ${given.long} as well`,
    );
  const runDir = options.resume!;
  const before = readConfig(runDir);
  const epochs = command.getOptionValueSource("epochs") === "cli" ? options.epochs : before.training.epochs;
  if (epochs < before.training.epochs)
    fail("train", `--epochs of at least ${before.training.epochs}, those of the run`, epochs);
  const config = { ...before, training: { ...before.training, epochs } };
  const data = await runData(config, options.dataDir);
  using model = createModel(config.model as ModelConfig);
  const checkpoint = join(runDir, FILES.checkpoint);
  // before fit() compiles anything: a pruned model's masks are part of its program
  if (existsSync(checkpoint)) restore(model, loadCheckpoint(checkpoint));
  else if (config.pruning)
    throw new BayesError(`[train] expected a pruned run with a checkpoint, received ${runDir} without; prune again`);
  if (epochs !== before.training.epochs) writeConfig(runDir, config);
  await whole(model, data, config, runDir, true, context);
}

type Made = ReturnType<typeof createModel>;
type Data = Awaited<ReturnType<typeof runData>>;

/** Trains, tests, and writes the results. */
async function whole(
  model: Made,
  data: Data,
  config: RunConfig,
  runDir: string,
  resume: boolean,
  context: Context,
): Promise<void> {
  const { out, signal } = context;
  announce(context, model, config, runDir, threads());
  const result = await trainRun(model, data, config, runDir, resume, context);
  const tested = await testModel(model, data.test, config, { signal });
  const { evaluation, prediction } = tested;
  await writeReport(runDir, model, data.test, config, tested, {
    history: result.history,
    trainingSeconds: result.wall.seconds,
  });
  writeOnnx(runDir, model, config, data.test.classes);
  out.line();
  for (const line of testTable(evaluation, prediction.samples)) out.line(line);
  out.line(`\nreport  ${join(runDir, FILES.reportHtml)}\nmodel   ${join(runDir, FILES.onnx)}`);
  const { beta } = config.training;
  out.event("done", {
    end: result.end,
    steps: result.steps,
    epochs: result.history.length,
    seconds: result.wall.seconds,
    best: result.best,
    test: testFields(evaluation, prediction.samples),
    beta: beta === undefined ? null : Number.isFinite(Number(beta)) ? Number(beta) : beta,
    runDir,
  });
}

/** The recipe that the options ask for on this data. */
export function recipe(options: TrainOptions, { train, test }: TrainTest): RunConfig {
  const seed = options.seed ?? 1;
  const valid = options.validation ?? validationSize(train.count);
  if (valid >= train.count) fail("train", `--validation below ${train.count}, the number of training images`, valid);
  const listens = options.earlyStopping !== undefined || options.best || options.schedule.startsWith("plateau");
  if (valid === 0 && listens)
    throw new UsageError(
      "[train] expected --validation above 0 for --early-stopping, --best or --schedule plateau, received 0",
    );
  const bayesian = !options.frequentist;
  const known = isDatasetName(options.data);
  const model: ModelConfig = {
    model: options.model,
    input: [...train.shape],
    classes: train.classes.length,
    bayesian,
    activation: options.activation,
    ...(bayesian
      ? {
          posterior: parsePosterior(options.posterior),
          prior: parsePrior(options.prior),
          estimator: options.estimator,
          kl: options.kl,
          bias: options.bias,
        }
      : {}),
    seed,
  };
  return {
    schema: 1,
    version,
    model: JSON.parse(JSON.stringify(model)),
    data: {
      name: known ? options.data : resolve(options.data),
      dir: options.dataDir === undefined ? undefined : resolve(options.dataDir),
      imageSize: options.imageSize,
      seed,
      train: train.count - valid,
      valid,
      test: test.count,
    },
    classes: [...train.classes],
    normalise: normalisationOf(train),
    training: {
      epochs: options.epochs,
      batchSize: options.batch,
      optimizer: options.optimizer,
      learningRate: rateText(options.schedule, options.lr, options.epochs, options.warmup),
      beta: bayesian ? options.beta : undefined,
      samples: bayesian ? options.samples : 1,
      validationSamples: bayesian ? defaults.validationSamples : 1,
      seed,
      clipNorm: options.clip,
      augment: augmentation(options),
      patience: options.earlyStopping,
      weights: options.best || options.earlyStopping !== undefined ? "best" : "final",
    },
    testSamples: bayesian ? options.testSamples : 1,
  };
}

/** --schedule, --lr and --warmup as parseRate wants them; a step schedule drops twice unless told otherwise. */
export function rateText(schedule: string, rate: number, epochs: number, warmup?: number): string {
  const [kind, ...rest] = schedule.split(":");
  const expected = "constant, cosine, step or plateau (with numbers behind it)";
  if (!["constant", "cosine", "step", "plateau"].includes(kind)) fail("--schedule", expected, schedule);
  if (kind === "constant" && rest.length > 0) fail("--schedule", expected, schedule);
  const numbers = kind === "step" && rest.length === 0 ? [String(Math.max(1, Math.ceil(epochs / 3)))] : rest;
  const text = kind === "constant" ? String(rate) : [kind, rate, ...numbers].join(":");
  const full = warmup === undefined ? text : `warmup:${warmup}:${text}`;
  parseRate(full);
  return full;
}

export function parsePosterior(text: string): NonNullable<ModelConfig["posterior"]> {
  const [kind, ...rest] = text.split(":");
  const expected = "rho[:rhoInit] or alpha[:weight|layer[:logAlphaInit]]";
  if (kind === "rho" && rest.length <= 1) return { kind, rhoInit: numberIn(rest[0], "posterior", expected, text) };
  const [per] = rest;
  if (kind === "alpha" && rest.length <= 2 && (per === undefined || per === "weight" || per === "layer"))
    return { kind, per, logAlphaInit: numberIn(rest[1], "posterior", expected, text) };
  return fail("posterior", expected, text);
}

export function parsePrior(text: string): NonNullable<ModelConfig["prior"]> {
  const [kind, ...rest] = text.split(":");
  const expected = "gaussian[:sigma], tied[:sigma] or mixture[:pi:sigma1:sigma2]";
  const at = (i: number) => numberIn(rest[i], "prior", expected, text);
  if (kind === "gaussian" && rest.length <= 1) return { kind, sigma: at(0) };
  if (kind === "tied" && rest.length <= 1) return { kind: "gaussian", mean: "tied", sigma: at(0) };
  if (kind === "mixture" && (rest.length === 0 || rest.length === 3))
    return { kind, pi: at(0), sigma1: at(1), sigma2: at(2) };
  return fail("prior", expected, text);
}

function numberIn(text: string | undefined, where: string, expected: string, whole: string): number | undefined {
  if (text === undefined) return undefined;
  return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : fail(where, expected, whole);
}

export function parseAugment(text: string): { shift: number; flip: boolean } {
  let [shift, flip] = [0, false];
  for (const part of text.split(",")) {
    const match = /^shift:(\d+)$/.exec(part);
    if (match) shift = Number(match[1]);
    else if (part === "flip") flip = true;
    else fail("augment", '"shift:PIXELS", "flip" or "shift:PIXELS,flip"', text);
  }
  if (shift > 1024) throw new BayesError(`[augment] expected a shift of at most 1024 pixels, received ${shift}`);
  return { shift, flip };
}

/** --augment alone: digits may move a little but not be mirrored; pictures may do both. */
function augmentation({ augment, data }: TrainOptions): { shift: number; flip: boolean } | undefined {
  if (augment === undefined || augment === false) return undefined;
  if (typeof augment === "string") return parseAugment(augment);
  return data === "mnist" ? { shift: 2, flip: false } : { shift: 4, flip: true };
}
