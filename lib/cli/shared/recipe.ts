import { type AnyDataset, hasClasses, type TrainTest } from "../../data/dataset.ts";
import { parseSize } from "../../data/images.ts";
import { findData, isDatasetName } from "../../data/locate.ts";
import { defaults } from "../../train/defaults.ts";
import { recipeFor, recipeSentence } from "../../train/recipe.ts";
import { validationSize } from "../../train/validation.ts";
import { fail, words } from "../../util/errors.ts";
import { version } from "../../util/package.ts";
import { UsageError } from "./options.ts";
import { identities } from "./run-data.ts";
import type { RunConfig } from "./run-folder.ts";
import {
  parseAugment,
  parseDropout,
  parseNoise,
  parsePosterior,
  parsePrior,
  parseWeights,
  rateText,
  type TrainOptions,
} from "./train-options.ts";

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
    width: options.width,
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

/** Where the data was found, so that the run can be opened from any folder. */
function place({ data, dataDir }: TrainOptions): { name: string; dir?: string } {
  if (isDatasetName(data)) return { name: data, dir: findData(data, dataDir) };
  return { name: findData(data, dataDir) ?? data };
}

/** --augment alone: digits may move a little but not be mirrored; pictures may do both. */
function augmentation({ augment, data }: TrainOptions): RunConfig["training"]["augment"] {
  if (augment === undefined) return undefined;
  if (typeof augment === "string") return parseAugment(augment);
  return data === "mnist" ? { shift: 2, flip: false } : { shift: 4, flip: true };
}
