/** The options of `train`, and how their values are written. */
import { parseBeta } from "../../bayes/beta.ts";
import {
  type Augmentation,
  type ResizedCrop,
  type SettledAugmentation,
  settleAugmentation,
} from "../../data/augment.ts";
import { parseSize } from "../../data/images.ts";
import { DATASETS } from "../../data/locate.ts";
import { likelihoodNames } from "../../likelihoods/known.ts";
import { answering, type ClassModelConfig } from "../../models/create.ts";
import { defaults } from "../../train/defaults.ts";
import { parseRate } from "../../train/schedules.ts";
import { fail } from "../../util/errors.ts";
import { parseNumber } from "../../util/number.ts";
import { dataDir, decimal, declare, integer, path, precision, several, spec, type Values } from "./options.ts";

export const trainOptions = declare()
  .choice("--model <name>", "architecture", answering, defaults.model)
  .value(
    "--data <name>",
    `${DATASETS.join(", ")}, a folder of images with one folder a class, or a table of images (.csv, .jsonl)`,
    path,
    defaults.data,
  )
  .and(dataDir)
  .value("--image-size <size>", "resize the images of a folder or table: n, or HEIGHTxWIDTH", spec(parseSize))
  .value("--background <colour>", "colour behind transparent images (default: white)", String)
  .flag("--stream", "decode images when they are needed, also where they would fit into memory")
  .flag("--skip-corrupt", "leave out images that cannot be decoded, and say which")
  .choice(
    "--likelihood <name>",
    "what the targets are (default: categorical for classes, gaussian for numbers)",
    likelihoodNames,
  )
  .value(
    "--noise <scale>",
    "of gaussian and laplace: learned, predicted for each value, or its known scale (default: learned)",
    spec(parseNoise),
  )
  .value("--class-weights <spec>", "balanced, or a weight for each class as cat:2,dog:1", spec(parseWeights))
  .value("--validation <n>", "training images kept for validation (default: a twelfth)", integer(0))
  .value("--epochs <n>", `how often every image is seen (default: ${defaults.epochs}, more on few images)`, integer(1))
  .value("--batch <n>", `images in one step (default: ${defaults.batchSize}, fewer of few images)`, integer(1))
  .value("--lr <rate>", "learning rate", decimal(0), defaults.learningRate)
  .choice("--optimizer <name>", "optimizer", ["adam", "adamw", "sgd"], defaults.optimizer)
  .value(
    "--schedule <spec>",
    "of the learning rate: constant, cosine[:last], step[:every[:factor]], plateau[:factor[:patience]]",
    spec((text) => rateText(text, 1, 3)),
    defaults.schedule,
  )
  .value("--warmup <epochs>", "epochs over which the learning rate grows to full size", decimal(0))
  .value(
    "--beta <spec>",
    `weight of the KL term: a number (1 is the ELBO), blundell, warmup[:share[:beta]], cosine[:share[:beta]] (default: ${defaults.beta}, less on few images)`,
    spec(parseBeta),
  )
  .value("--samples <n>", "Monte-Carlo samples in one training step", integer(1, 1024), defaults.samples)
  .value("--test-samples <n>", "Monte-Carlo samples in the test", integer(1, 65_536), defaults.testSamples)
  .flag("--frequentist", "the same network with plain weights")
  .choice("--activation <name>", "activation (default: softplus; relu with --frequentist and in nets with norms)", [
    "softplus",
    "relu",
  ])
  .choice("--norm <name>", "norm of resnet18, resnet20, mobilenet, vgg11 and vgg16 (default: batch)", [
    "batch",
    "filter-response",
  ])
  .value("--width <share>", "what multiplies the filters of mobilenet, 0.25 to 1 (default: 1)", decimal(0.25, 1))
  .value(
    "--dropout <spec>",
    "RATE of dropout, or RATE:LAYER,LAYER behind these layers alone, as 0.5:conv1,conv3",
    spec(parseDropout),
  )
  .flag("--monte-carlo-dropout", "dropout stays on in predictions, which are stochastic by it")
  .value(
    "--posterior <spec>",
    "rho[:rhoInit], alpha[:weight|layer[:logAlphaInit]]",
    spec(parsePosterior),
    defaults.posterior,
  )
  .value(
    "--prior <spec>",
    "gaussian[:sigma], tied[:sigma] (mean of the posterior), mixture[:pi:sigma1:sigma2]",
    spec(parsePrior),
    defaults.prior,
  )
  .choice("--estimator <name>", "noise on the activations, or on the weights", ["local", "weight"], defaults.estimator)
  .choice("--kl <name>", "closed form where there is one, or sampled", ["closed", "sampled"], defaults.kl)
  .choice("--bias <name>", "biases", ["bayesian", "point", "none"], defaults.bias)
  .perhaps(
    "--augment [spec]",
    "vary training images: shift:PIXELS, flip, crop[:LEAST-MOST], rotate:DEGREES, brightness:SHARE, contrast:SHARE, cutout:PIXELS, mixup:ALPHA, with commas between (alone: shift and flip by --data)",
    spec(parseAugment),
  )
  .value("--clip <norm>", "largest norm of the gradients", decimal(Number.MIN_VALUE))
  .value(
    "--early-stopping <patience>",
    "stop after so many validations without a better NLL, keep the best weights",
    integer(1),
  )
  .flag("--best", "test the weights of the best validation, not the final ones")
  .value(
    "--from <path>",
    "begin with the weights of a run, a checkpoint, or a safetensors or ONNX file: as means, with sigmas of a tenth of them; where its classes are others, the last layer is new",
    path,
  )
  .flag("--moped", "with --from: priors N(w, 1) around the weights")
  .flag("--head-only", "with --from: train the last layer alone, and leave the others plain and as they are")
  .value("--compare <rundir>", "print another tested run beside this one, such as the frequentist twin", several)
  .value("--resume <rundir>", "go on with a run; all of its settings are kept (--epochs may be raised)", path)
  .and(precision);
export type TrainOptions = Values<typeof trainOptions>;

/** What `train` does on many images when nothing is said. */
export const defaultOptions: TrainOptions = {
  ...defaults,
  device: "auto",
  batch: defaults.batchSize,
  lr: defaults.learningRate,
};

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
