/** The options of `train`, and the recipe they make: everything that config.json holds. */
import { type Augmentation, type ResizedCrop, type SettledAugmentation, settleAugmentation } from "../data/augment.ts";
import { type AnyDataset, hasClasses, type TrainTest } from "../data/dataset.ts";
import { parseSize } from "../data/images.ts";
import { findData, isDatasetName } from "../data/locate.ts";
import type { Precision } from "../graph/trace.ts";
import type { ClassModelConfig } from "../models/create.ts";
import { defaults } from "../train/defaults.ts";
import { recipeFor, recipeSentence } from "../train/recipe.ts";
import { parseRate } from "../train/schedules.ts";
import { validationSize } from "../train/validation.ts";
import { fail, words } from "../util/errors.ts";
import { parseNumber } from "../util/number.ts";
import { version } from "../util/package.ts";
import { type SharedOptions, UsageError } from "./options.ts";
import { identities } from "./run-data.ts";
import type { RunConfig } from "./run-folder.ts";

export interface TrainOptions extends SharedOptions {
  readonly model: string;
  readonly data: string;
  readonly dataDir?: string;
  readonly imageSize?: string;
  readonly background?: string;
  readonly skipCorrupt?: boolean;
  readonly stream?: boolean;
  readonly likelihood?: string;
  readonly noise?: string;
  readonly classWeights?: string;
  readonly validation?: number;
  /** Where not said, `recipeFor` chooses it, as it does the next and beta. */
  readonly epochs?: number;
  readonly batch?: number;
  readonly lr: number;
  readonly optimizer: "adam" | "adamw" | "sgd";
  readonly schedule: string;
  readonly warmup?: number;
  readonly beta?: string;
  readonly samples: number;
  readonly precision: Precision;
  readonly testSamples: number;
  readonly frequentist?: boolean;
  readonly activation?: "softplus" | "relu";
  readonly norm?: "batch" | "filter-response";
  readonly dropout?: string;
  readonly monteCarloDropout?: boolean;
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
  readonly compare?: readonly string[];
  readonly from?: string;
  readonly moped?: boolean;
  readonly headOnly?: boolean;
}

/** What `train` does on many images when nothing is said. */
export const defaultOptions: TrainOptions = {
  ...defaults,
  device: "auto",
  batch: defaults.batchSize,
  lr: defaults.learningRate,
};

/** The recipe that the options ask for on this data. */
export function recipe(
  options: TrainOptions,
  all: TrainTest<AnyDataset>,
  say: (note: string) => void = () => {},
): RunConfig {
  const { train, valid: own, test } = all;
  const seed = options.seed ?? 1;
  if (own !== undefined && options.validation !== undefined)
    throw new UsageError(
      `[train] expected no --validation, because ${train.name} has validation images of its own, received ${options.validation}`,
    );
  const valid = own?.count ?? options.validation ?? validationSize(train.count);
  if (own === undefined && valid >= train.count)
    fail("train", `--validation below ${train.count}, the number of training images`, valid);
  const listens = options.earlyStopping !== undefined || options.best || options.schedule.startsWith("plateau");
  if (valid === 0 && listens)
    throw new UsageError(
      "[train] expected --validation above 0 for --early-stopping, --best or --schedule plateau, received 0",
    );
  const bayesian = !options.frequentist;
  const draws = bayesian || options.monteCarloDropout;
  const trained = own === undefined ? train.count - valid : train.count;
  const { batch: batchSize, epochs, beta } = options;
  // only "rho" by itself leaves it open how wide it begins; for numbers it begins narrow, as in fit, and weights say it themselves
  const meant = meaning(options, train);
  const open = options.posterior === defaults.posterior && options.from === undefined && !("outputs" in meant);
  const initialSigma = open ? undefined : 0;
  const chosen = recipeFor(trained, { batchSize, epochs, beta, initialSigma }, bayesian);
  const sentence = recipeSentence(trained, chosen);
  if (sentence) say(sentence);
  const model = {
    model: options.model,
    input: [...train.shape],
    ...meant,
    bayesian,
    activation: options.activation,
    norm: options.norm,
    ...(options.dropout === undefined ? {} : parseDropout(options.dropout)),
    monteCarloDropout: options.monteCarloDropout,
    ...(bayesian
      ? {
          posterior: parsePosterior(options.posterior),
          prior: parsePrior(options.prior),
          estimator: options.estimator,
          kl: options.kl,
          bias: ({ bayesian: true, point: "point", none: false } as const)[options.bias],
        }
      : {}),
    seed,
  };
  return {
    schema: 2,
    version,
    model: JSON.parse(JSON.stringify(model)),
    data: {
      ...place(options),
      imageSize: options.imageSize === undefined ? undefined : parseSize(options.imageSize),
      background: options.background,
      skipCorrupt: options.skipCorrupt,
      identity: identities(all),
      seed,
      train: trained,
      valid,
      test: test.count,
    },
    training: {
      epochs: chosen.epochs,
      batchSize: chosen.batchSize,
      optimizer: options.optimizer,
      learningRate: rateText(options.schedule, options.lr, chosen.epochs, options.warmup),
      beta: bayesian ? (beta ?? String(chosen.beta)) : undefined,
      ...(chosen.initialSigma > 0 ? { initialSigma: chosen.initialSigma } : {}),
      ...(sentence ? { chosen: chosen.why } : {}),
      samples: draws ? options.samples : 1,
      precision: options.precision,
      validationSamples: draws ? defaults.validationSamples : 1,
      seed,
      clipNorm: options.clip,
      augment: augmentation(options),
      classWeights: options.classWeights === undefined ? undefined : parseWeights(options.classWeights),
      patience: options.earlyStopping,
      weights: options.best || options.earlyStopping !== undefined ? "best" : "final",
    },
    testSamples: draws ? options.testSamples : 1,
    testSeed: seed,
  };
}

/** What the output means: the likelihood that was asked for, else the one that fits the data's targets. */
function meaning({ likelihood, noise }: TrainOptions, train: AnyDataset): Record<string, unknown> {
  const kind = likelihood ?? (hasClasses(train) ? "categorical" : "gaussian");
  if (noise !== undefined && kind !== "gaussian" && kind !== "laplace")
    throw new UsageError(`[train] expected --noise with --likelihood gaussian or laplace, received it with ${kind}`);
  if (kind === "categorical") {
    if (!hasClasses(train))
      fail(
        "train",
        `images of classes for --likelihood categorical in data set ${train.name}`,
        words("numbers as targets"),
      );
    return { classes: train.classes };
  }
  if (kind === "bernoulli") {
    const two = hasClasses(train);
    return { likelihood: { kind, labels: two ? train.classes.slice(1) : (train.targetNames ?? targetsOf(train)) } };
  }
  const scale = noise === undefined ? undefined : parseNoise(noise);
  const numbers = targetsOf(train);
  const options = {
    ...(scale === undefined ? {} : { noise: scale }),
    ...(train.targetNames ? { names: train.targetNames } : {}),
  };
  return { likelihood: { kind, ...options }, outputs: numbers * (scale === "predicted" ? 2 : 1) };
}

const targetsOf = ({ targets, count }: AnyDataset): number => targets.length / count;

/** "learned", "predicted" or a number above 0. */
export function parseNoise(text: string): "learned" | "predicted" | number {
  if (text === "learned" || text === "predicted") return text;
  const scale = parseNumber(text);
  return scale !== undefined && scale > 0 ? scale : fail("--noise", '"learned", "predicted" or a number above 0', text);
}

/** "0.5", or "0.5:conv1,conv3" to have it behind these layers alone. */
export function parseDropout(text: string): Pick<ClassModelConfig, "dropout" | "dropoutAfter"> {
  const [rate, layers, ...more] = text.split(":");
  const dropout = parseNumber(rate);
  const dropoutAfter = layers?.split(",");
  if (dropout === undefined || dropout < 0 || dropout >= 1 || dropoutAfter?.includes("") || more.length > 0)
    fail("--dropout", "RATE or RATE:LAYER,LAYER with a rate from 0 to below 1", text);
  return dropoutAfter ? { dropout, dropoutAfter } : { dropout };
}

/** "balanced", or cat:2,dog:1. */
export function parseWeights(text: string): "balanced" | Record<string, number> {
  if (text === "balanced") return text;
  return Object.fromEntries(
    text.split(",").map((part) => {
      const at = part.lastIndexOf(":");
      const weight = parseNumber(part.slice(at + 1));
      if (at < 1 || weight === undefined || weight < 0)
        fail("--class-weights", '"balanced", or a weight for each class as cat:2,dog:1', text);
      return [part.slice(0, at), weight];
    }),
  );
}

/** Where the data was found, so that the run can be opened from any folder. */
function place({ data, dataDir }: TrainOptions): { name: string; dir?: string } {
  if (isDatasetName(data)) return { name: data, dir: findData(data, dataDir) };
  return { name: findData(data, dataDir) ?? data };
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

export function parsePosterior(text: string): NonNullable<ClassModelConfig["posterior"]> {
  const [kind, ...rest] = text.split(":");
  const expected = "rho[:rhoInit] or alpha[:weight|layer[:logAlphaInit]]";
  if (kind === "rho" && rest.length <= 1) return { kind, rhoInit: numberIn(rest[0], "posterior", expected, text) };
  const [per] = rest;
  if (kind === "alpha" && rest.length <= 2 && (per === undefined || per === "weight" || per === "layer"))
    return { kind, per, logAlphaInit: numberIn(rest[1], "posterior", expected, text) };
  return fail("posterior", expected, text);
}

export function parsePrior(text: string): NonNullable<ClassModelConfig["prior"]> {
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
  return parseNumber(text) ?? fail(where, expected, whole);
}

/** What --augment may say: the field of the augmentation that it sets, and how its value is written. */
const VARIATIONS: Readonly<Record<string, readonly [field: keyof Augmentation, form: string]>> = {
  shift: ["shift", '"shift:PIXELS"'],
  flip: ["flip", '"flip"'],
  crop: ["resizedCrop", '"crop" or "crop:LEAST-MOST" (shares of the area)'],
  rotate: ["rotate", '"rotate:DEGREES"'],
  brightness: ["brightness", '"brightness:SHARE"'],
  contrast: ["contrast", '"contrast:SHARE"'],
  cutout: ["cutout", '"cutout:PIXELS"'],
  mixup: ["mixup", '"mixup:ALPHA"'],
};

/** "shift:4,flip,crop:0.5-1,rotate:15,brightness:0.2,contrast:0.2,cutout:8,mixup:0.2", or some of it. */
export function parseAugment(text: string): SettledAugmentation {
  const given: Record<string, boolean | number | ResizedCrop> = {};
  for (const part of text.split(",")) {
    const [name, ...rest] = part.split(":");
    if (!Object.hasOwn(VARIATIONS, name))
      fail("augment", `${Object.keys(VARIATIONS).join(", ")}, with commas between, as "shift:4,flip"`, part);
    const [key, form] = VARIATIONS[name];
    if (key in given) fail("augment", `${name} once`, text);
    const value = rest.length === 0 ? undefined : rest.join(":");
    if (value === undefined && (key === "flip" || key === "resizedCrop")) given[key] = true;
    else if (key === "resizedCrop") {
      const [least, most, ...more] = value!.split("-").map(parseNumber);
      if (least === undefined || most === undefined || more.length > 0) fail("augment", form, part);
      given[key] = { scale: [least, most] };
    } else given[key] = (key === "flip" ? undefined : unsigned(value)) ?? fail("augment", form, part);
  }
  if (Number(given.shift) > 1024) fail("augment", "a shift of at most 1024 pixels", given.shift);
  return settleAugmentation("augment", given);
}

const unsigned = (text = ""): number | undefined => (/^[\d.]/.test(text) ? parseNumber(text) : undefined);

/** The same text of an augmentation. */
export function augmentText(augment: Augmentation): string {
  const texts = Object.entries(VARIATIONS).flatMap(([name, [key]]) => {
    const value = augment[key];
    if (value === undefined || value === false || value === 0) return [];
    if (value === true) return [name];
    return `${name}:${typeof value === "number" ? value : (value.scale ?? ["default"]).join("-")}`;
  });
  return texts.join(",") || "none";
}

/** --augment alone: digits may move a little but not be mirrored; pictures may do both. */
function augmentation({ augment, data }: TrainOptions): RunConfig["training"]["augment"] {
  if (augment === undefined || augment === false) return undefined;
  if (typeof augment === "string") return parseAugment(augment);
  return data === "mnist" ? { shift: 2, flip: false } : { shift: 4, flip: true };
}
