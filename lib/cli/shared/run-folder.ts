/** A run lives in one folder: config.json, metrics.jsonl, checkpoint.safetensors, report.html, report.json, model.onnx. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import { parseBeta } from "../../bayes/beta.ts";
import { type Checkpoint, loadCheckpoint, restore } from "../../checkpoints/checkpoint.ts";
import { weightsFile } from "../../checkpoints/open.ts";
import { settleAugmentation } from "../../data/augment.ts";
import { createModel, type LikelihoodModelConfig } from "../../models/create.ts";
import type { Model } from "../../models/model.ts";
import { PRECISIONS } from "../../native/device.ts";
import { checkFree, type HeldLock, isLock, RunLock } from "../../train/lock.ts";
import { parseRate } from "../../train/schedules.ts";
import { checkTarget, writeFileAtomic } from "../../util/atomic.ts";
import { BayesError } from "../../util/errors.ts";
import { readJson } from "../../util/json.ts";
import { statOf } from "../../util/regular.ts";
import { isTemporary } from "../../util/temporary.ts";

export const FILES = {
  config: "config.json",
  metrics: "metrics.jsonl",
  checkpoint: "checkpoint.safetensors",
  best: "best.safetensors",
  reportHtml: "report.html",
  reportJson: "report.json",
  onnx: "model.onnx",
} as const;

const count = z.int().min(0);
const positive = z.int().min(1);
const parsedBy = (parse: (text: string) => unknown) =>
  z.string().superRefine((text, context) => {
    try {
      parse(text);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
    }
  });

const range = z.tuple([z.number(), z.number()]).readonly();
/** What each number may be, settleAugmentation says. */
const augment = z
  .strictObject({
    shift: count.optional(),
    flip: z.boolean().optional(),
    resizedCrop: z
      .union([z.boolean(), z.strictObject({ scale: range.optional(), ratio: range.optional() })])
      .optional(),
    rotate: z.number().optional(),
    brightness: z.number().optional(),
    contrast: z.number().optional(),
    cutout: count.optional(),
    mixup: z.number().optional(),
  })
  .superRefine((given, context) => {
    try {
      settleAugmentation("augment", given);
    } catch (error) {
      context.addIssue({ code: "custom", message: (error as Error).message });
    }
  })
  .optional();

const schema = z.strictObject({
  schema: z.literal(2),
  version: z.string(),
  /** What createModel takes. */
  model: z.record(z.string(), z.json()),
  data: z.strictObject({
    name: z.string(),
    dir: z.string().optional(),
    imageSize: z.union([positive, z.tuple([positive, positive])]).optional(),
    /** On what transparent images are laid. */
    background: z.string().optional(),
    skipCorrupt: z.boolean().optional(),
    /** Content hashes of the parts as they were read, before any split. */
    identity: z.strictObject({ train: z.string(), valid: z.string().optional(), test: z.string() }),
    seed: count,
    train: positive,
    valid: count,
    test: positive,
  }),
  training: z.strictObject({
    epochs: positive,
    batchSize: positive,
    optimizer: z.enum(["adam", "adamw", "sgd"]),
    learningRate: parsedBy(parseRate),
    /** Absent in a model without Bayesian layers. */
    beta: parsedBy(parseBeta).optional(),
    /** See `FitOptions.initialSigma`; absent is 0. */
    initialSigma: z.number().positive().optional(),
    /** What was chosen because nothing was said, and why. */
    chosen: z.record(z.string(), z.string()).optional(),
    samples: positive,
    precision: z.enum(PRECISIONS).default("fp32"),
    validationSamples: positive,
    seed: count,
    clipNorm: z.number().positive().optional(),
    augment,
    classWeights: z.union([z.literal("balanced"), z.record(z.string(), z.number().min(0))]).optional(),
    patience: positive.optional(),
    /** Which weights the run ends with: those after the last step, or of the best validation. */
    weights: z.enum(["final", "best"]),
  }),
  testSamples: positive,
  /** Seed of the noise in tests and predictions. */
  testSeed: count,
  /** Present in a pruned run: where it came from, and how. */
  pruning: z.record(z.string(), z.json()).optional(),
  /** Present in a run that began with weights: of which file, with which layers of its own, and sigma as a share of a weight. */
  from: z
    .strictObject({ path: z.string(), except: z.array(z.string()), delta: z.number().positive().optional() })
    .optional(),
  /** Made by `start`, which may replace it. */
  tour: z.literal(true).optional(),
});

/** The whole recipe of a run; with the data it makes the run again, bit for bit. */
export type RunConfig = z.infer<typeof schema>;

/**
 * Makes the folder of a new run, locks it and writes its recipe. A folder with another run in it is left alone.
 * @returns the lock, to be held until the run's last file is written
 */
export function createRun(dir: string, config: RunConfig): HeldLock {
  if (existsSync(dir) && statSync(dir).isDirectory()) {
    checkFree(dir);
    checkEmpty(dir);
  }
  const lock = RunLock.take(dir, { lend: true });
  try {
    checkEmpty(dir); // nobody can have come in between from now on
    writeConfig(dir, config);
    return lock;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** What a killed process left (a lock, unfinished files) does not count. */
function checkEmpty(dir: string): void {
  if (readdirSync(dir).every((name) => isLock(name) || isTemporary(name))) return;
  throw new BayesError(
    `[run folder] expected a new or empty folder, received ${dir} with files in it; --resume ${dir} goes on with a run`,
    { code: "ERR_BAYES_FILE" },
  );
}

/** Locks the folder of a run that is there already. @throws BayesError as {@link readConfig} does, or when somebody works in it */
export function lockRun(dir: string): HeldLock {
  readConfig(dir);
  const lock = RunLock.take(dir, { lend: true });
  try {
    for (const name of Object.values(FILES)) checkTarget(join(dir, name)); // now, not after the work
    return lock;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Throws a BayesError when a file that a command is to write is one of the run that it reads. */
export function checkOutput(where: string, path: string | undefined, dir: string): void {
  const stat = path === undefined ? undefined : statOf(path);
  for (const name of stat ? Object.values(FILES) : []) {
    const file = statOf(join(dir, name));
    if (name === FILES.onnx || !stat || !file || file.ino !== stat.ino || file.dev !== stat.dev) continue;
    throw new BayesError(`[${where}] expected --out to be another file than those of the run, received ${path}`, {
      code: "ERR_BAYES_FILE",
    });
  }
}

export function writeConfig(dir: string, config: RunConfig): void {
  writeFileAtomic(join(dir, FILES.config), `${JSON.stringify(config, null, 2)}\n`);
}

/** @throws BayesError when the folder is missing, is no run folder, or its config.json is not one that train wrote */
export function readConfig(dir: string): RunConfig {
  if (!existsSync(dir))
    throw new BayesError(`[run folder] expected the folder of a run, received ${dir}, which does not exist`, {
      code: "ERR_BAYES_FILE",
    });
  const path = join(dir, FILES.config);
  if (!existsSync(path))
    throw new BayesError(
      `[run folder] expected the folder of a run (made by bayescnn train), received ${dir} without ${FILES.config}`,
      { code: "ERR_BAYES_FILE" },
    );
  const parsed = schema.safeParse(readJson(path));
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new BayesError(
    `[${path}] expected the configuration of a run, received one with ${issue.path.join(".") || "its top level"} wrong: ${issue.message}`,
    { code: "ERR_BAYES_FILE" },
  );
}

/** A trained model with its recipe. Close the model when done. */
export interface OpenRun {
  readonly dir: string;
  readonly config: RunConfig;
  readonly checkpoint: Checkpoint;
  readonly model: Model;
}

/** Opens a run with the weights that it ended with. */
export function openRunFolder(dir: string): OpenRun {
  const config = readConfig(dir);
  if (!existsSync(join(dir, FILES.checkpoint)))
    throw new BayesError(`[run folder] expected a trained run, received ${dir} without ${FILES.checkpoint} yet`, {
      code: "ERR_BAYES_FILE",
    });
  const checkpoint = loadCheckpoint(weightsFile(dir));
  const model = described(dir, config);
  try {
    restore(model, checkpoint);
  } catch (error) {
    model.close();
    throw error;
  }
  return { dir, config, checkpoint, model };
}

/** The model of a run's configuration; what is wrong with it is wrong with the file. */
function described(dir: string, config: RunConfig): Model {
  try {
    return modelOf(config);
  } catch (error) {
    if (!(error instanceof BayesError) || error.code !== "ERR_BAYES_ARGUMENT") throw error;
    throw new BayesError(
      `[${join(dir, FILES.config)}] expected the configuration of a run, received one with a wrong model (${error.message})`,
      { code: "ERR_BAYES_FILE", cause: error },
    );
  }
}

/** In a sentence, that the run has not come to its end; undefined if it has, or where its weights alone are there. */
export function unfinished({ dir, config, checkpoint }: OpenRun): string | undefined {
  const { training } = checkpoint;
  const [done, all] = [training?.history.length ?? 0, config.training.epochs];
  if (!training || training.ended || done >= all) return undefined;
  return `${dir} is trained for ${done} of ${all} epochs; train --resume ${dir} finishes it`;
}

/** A new model by the recipe. */
export const modelOf = ({ model }: RunConfig): Model => createModel(model as unknown as LikelihoodModelConfig);

/** runs/lenet5-mnist-20260131-235959, with a number behind it if that exists. */
export function newRunDir(model: string, data: string, now = new Date()): string {
  const stamp = now.toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const name = `${model}-${data}`.replace(/[^\w.-]+/g, "-").slice(0, 100); // of any length, and with anything in it
  const base = join("runs", `${name}-${stamp}`);
  for (let i = 1; ; i++) {
    const dir = i === 1 ? base : `${base}-${i}`;
    if (!existsSync(resolve(dir))) return dir;
  }
}
