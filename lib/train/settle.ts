/** From what a caller of `fit` says to the settings of a run. */

import { isDeepStrictEqual } from "node:util";
import { constantBeta } from "../bayes/beta.ts";
import { type Augmentation, movesPixels, settleAugmentation } from "../data/augment.ts";
import { type AnyDataset, checkDataset, isStreamed } from "../data/dataset.ts";
import { checkPixels, normalizationOf, pixelsOf } from "../data/prepare.ts";
import { frozenLayers, isAmong, layerNames, layerOf } from "../layers/names.ts";
import type { Likelihood } from "../likelihoods/shared/likelihood.ts";
import { type Model, temperedBy } from "../models/model.ts";
import { checkPrecision } from "../native/device.ts";
import { isSignal } from "../util/arrays.ts";
import { BayesError, checkInt, checkNumber, checkOptions, checkPath, fail, words } from "../util/errors.ts";
import { defaults } from "./defaults.ts";
import { checkInitialSigma } from "./initialSigma.ts";
import { adam } from "./optimizers.ts";
import type { Callbacks, FitData, FitOptions, Monitor, Settled } from "./options.ts";
import { recipeFor, type SaidOfRecipe } from "./recipe.ts";
import { constantRate, cosineRate } from "./schedules.ts";

const pixelsIn = (data: AnyDataset) => (isStreamed(data) ? data.pixels : pixelsOf(data.images));

/**
 * Fills in defaults and checks everything that can be known before the first step. Changes nothing. What only a pass over a
 * streamed set tells stays undefined: the preprocessing of a model that has none.
 */
export function settle(model: Model, data: FitData, options: FitOptions): Settled {
  const o = checkShapes(options);
  const { train, valid } = data;
  for (const part of valid ? [train, valid] : [train]) checkImages(model, part);
  const { likelihood, targets, preprocess } = meaningOf(model, data);
  if (o.epochs !== undefined) checkInt("fit", "epochs", o.epochs, 1);
  if (o.batchSize !== undefined) checkInt("fit", "batchSize", o.batchSize, 1);
  checkInitialSigma(model, o.initialSigma);
  // of numbers wide posteriors were no better: their noise is an error of the prediction
  const widens = model.bayes.posterior.unsaid && likelihood.tempered !== undefined;
  const said: SaidOfRecipe = widens ? o : { ...o, initialSigma: o.initialSigma ?? 0 };
  const recipe = recipeFor(train.count, said, model.bayesian);
  const { epochs, batchSize } = recipe;
  const rate = o.learningRate ?? cosineRate(defaults.learningRate);
  const beta = o.beta ?? recipe.beta;
  const { name, better } = monitorOf(likelihood, o);
  const settings: Settled = {
    ...o,
    epochs,
    batchSize,
    initialSigma: recipe.initialSigma,
    recipe,
    dropLast: o.dropLast ?? false,
    optimizer: o.optimizer ?? adam(),
    learningRate: typeof rate === "number" ? constantRate(checkNumber("fit", "the learning rate", rate, 0)) : rate,
    beta: typeof beta === "number" ? constantBeta(checkNumber("fit", "beta", beta, 0)) : beta,
    samples: checkInt("fit", "samples", o.samples ?? defaults.samples, 1, 65536),
    seed: checkInt("fit", "seed", o.seed ?? 0, 0),
    precision: checkPrecision("fit", o.precision, model.store.device) ?? "fp32",
    weights: weightsOf(train, o.exampleWeights),
    augment: augmentOf(model, train, batchSize, o.augment),
    frozen: frozenOf(model, o.freeze),
    validationSamples: checkInt(
      "fit",
      "validationSamples",
      o.validationSamples ?? (model.stochastic ? defaults.validationSamples : 1),
      1,
      65536,
    ),
    validateEvery: checkInt("fit", "validateEvery", o.validateEvery ?? 1, 1),
    monitor: { name, better },
    restoreBest: o.restoreBest ?? o.earlyStopping !== undefined,
    checkpoint: o.checkpoint ?? { epochs: 1 },
    likelihood,
    preprocess,
    targets,
    stream: isStreamed(train) ? train.pixels : undefined,
  };
  checkNumbers(o, settings);
  checkTogether(model, data, o, settings);
  return settings;
}

/** What the model will know once it has seen the training set; the preprocessing may be for a pass over the data to tell. */
function meaningOf(model: Model, { train, valid }: FitData): Pick<Settled, "likelihood" | "targets" | "preprocess"> {
  const current = temperedBy("fit", model.likelihood, 1); // a temperature is of the weights that it was fitted to
  const informed = current.informed(train);
  // where nothing is new the model keeps its own, which may be a changed copy of the one that answers
  const news = !isDeepStrictEqual(informed.config, current.config);
  const likelihood = news ? informed : current;
  if (likelihood.config.kind !== model.likelihood.config.kind)
    fail(
      "fit",
      `informed of likelihood ${model.likelihood.config.kind} to return one of its kind`,
      likelihood.config.kind,
    );
  const targets = likelihood.targets("fit", train, model.targetShape);
  if (valid) likelihood.targets("fit", valid, model.targetShape);
  const known = model.preprocess ?? (isStreamed(train) ? undefined : normalizationOf(train));
  const pixels = known?.pixels ?? pixelsIn(train);
  const background = train.background ?? known?.background; // that of the images trained on last
  const preprocess = known && { ...known, pixels, ...(background === undefined ? {} : { background }) };
  for (const part of valid ? [train, valid] : [train])
    checkPixels(`fit, data set ${part.name}`, pixelsIn(part), { scale: [], shift: [], pixels });
  return { likelihood, targets, preprocess };
}

function checkNumbers(o: FitOptions, { checkpoint }: Settled): void {
  if (o.clipNorm !== undefined && !(checkNumber("fit", "clipNorm", o.clipNorm, 0) > 0))
    fail("fit", "clipNorm above 0", 0);
  if (o.chunk !== undefined) checkInt("fit", "chunk", o.chunk, 1);
  if (o.earlyStopping) checkInt("fit", "earlyStopping.patience", o.earlyStopping.patience, 1);
  if (o.earlyStopping?.margin !== undefined) checkNumber("fit", "earlyStopping.margin", o.earlyStopping.margin, 0);
  for (const key of ["epochs", "steps"] as const)
    if (checkpoint[key] !== undefined) checkInt("fit", `checkpoint.${key}`, checkpoint[key], 1);
  if (checkpoint.seconds !== undefined) checkNumber("fit", "checkpoint.seconds", checkpoint.seconds, 0);
}

/** What may not be said together, or not of these data. */
function checkTogether(model: Model, { train, valid }: FitData, o: FitOptions, settings: Settled): void {
  const { epochs, batchSize } = settings;
  if (!model.stochastic && settings.samples > 1)
    fail("fit", "samples 1 for a model without Bayesian layers", o.samples);
  if (o.resume && o.runDir === undefined) fail("fit", "runDir together with resume", undefined);
  if (batchSize > train.count)
    throw new BayesError(
      `[fit] expected at least one batch of ${batchSize} examples, received ${train.count} in data set ${train.name}`,
    );
  if (!valid && (o.earlyStopping || o.bestCheckpoint || o.restoreBest || settings.learningRate.learn))
    throw new BayesError(
      "[fit] expected validation data for early stopping, the best weights or a plateau schedule, received none",
    );
  if (epochs * Math.ceil(train.count / batchSize) > 0x7fffffff) fail("fit", "fewer than 2^31 steps", epochs);
}

function monitorOf(likelihood: Likelihood, { monitor = "nll", evaluate }: FitOptions): Monitor {
  if (typeof monitor === "string") {
    const known = likelihood.figures.filter((f) => f.better !== undefined);
    const figure = known.find((f) => f.name === monitor);
    if (figure) return { name: monitor, better: figure.better! };
    const own = evaluate ? `, or { name: ${JSON.stringify(monitor)}, better: "lower" or "higher" }` : "";
    return fail("fit", `a monitor among ${known.map((f) => f.name).join(", ")}${own}`, monitor);
  }
  const { name, better } = checkOptions("fit monitor", monitor, { name: "string", better: "string" });
  if (better !== "lower" && better !== "higher") fail("fit", 'monitor.better "lower" or "higher"', better);
  return { name, better };
}

function augmentOf(model: Model, train: AnyDataset, batchSize: number, asked: Augmentation | undefined) {
  if (!asked) return undefined;
  const augment = settleAugmentation("fit", asked, train.shape);
  if (augment.mixup !== undefined && batchSize === 1)
    fail("fit", "a batchSize of at least 2 for augment.mixup, which mixes the images of a batch", batchSize);
  if (model.targetShape.length === 3 && movesPixels(augment))
    fail(
      "fit",
      "augment without shift, flip, resizedCrop and rotate where targets are images, which would stay as they are",
      Object.keys(asked).join(", "),
    );
  return augment;
}

/** The names of all layers that are to stay as they are. */
function frozenOf(model: Model, freeze: FitOptions["freeze"] = model.frozen): readonly string[] {
  const frozen = frozenLayers("fit", freeze, layerNames(model.store.slots.values()));
  if (model.parameters.every(({ name }) => isAmong(frozen, layerOf(name))))
    fail("fit", "freeze to leave a layer that is trained", words("all of them"));
  return frozen;
}

/** Weights of mean 1. */
function weightsOf(train: AnyDataset, given: ArrayLike<number> | undefined): Float32Array | undefined {
  if (given === undefined) return undefined;
  if (given?.length !== train.count)
    fail("fit", `${train.count} exampleWeights, one an example of data set ${train.name}`, given?.length ?? given);
  const weights = new Float64Array(train.count);
  let sum = 0;
  for (let i = 0; i < weights.length; i++) {
    weights[i] = checkNumber("fit", `weight ${i} of exampleWeights`, given[i], 0);
    sum += weights[i];
  }
  if (!(sum > 0)) fail("fit", "exampleWeights that are not all zero", sum);
  return new Float32Array(weights.map((w) => (w * train.count) / sum));
}

/** A copy of the options, each of the kind it should be: the numbers are looked at later. */
function checkShapes(options: FitOptions): FitOptions {
  const o = checkOptions<FitOptions>("fit", options, {
    epochs: "number",
    batchSize: "number",
    dropLast: "boolean",
    optimizer: "object",
    learningRate: "number|object",
    beta: "number|object",
    initialSigma: "number",
    samples: "number",
    seed: "number",
    precision: "string",
    clipNorm: "number",
    augment: "object",
    exampleWeights: "object",
    penalty: "function",
    freeze: "object|function",
    validationSamples: "number",
    evaluate: "function",
    validateEvery: "number",
    monitor: "string|object",
    earlyStopping: "object",
    restoreBest: "boolean",
    callbacks: "object",
    runDir: "string",
    checkpoint: "object",
    bestCheckpoint: "boolean",
    resume: "boolean",
    signal: "object",
    progress: "boolean",
    chunk: "number",
  });
  const { optimizer, learningRate, beta, signal, augment } = o;
  if (optimizer && typeof optimizer.update !== "function")
    fail("fit", "optimizer as adam() or sgd() makes it", optimizer);
  if (typeof learningRate === "object" && typeof learningRate.at !== "function")
    fail("fit", "learningRate as a number or a schedule", learningRate);
  if (typeof beta === "object" && typeof beta.at !== "function") fail("fit", "beta as a number or a schedule", beta);
  if (signal && !isSignal(signal)) fail("fit", "signal as an AbortSignal", signal);
  if (o.runDir !== undefined) checkPath("fit", o.runDir);
  const { earlyStopping, checkpoint, callbacks } = o;
  if (augment) settleAugmentation("fit", augment);
  return {
    ...o,
    ...(earlyStopping && {
      earlyStopping: checkOptions("fit earlyStopping", earlyStopping, { patience: "number", margin: "number" }),
    }),
    ...(checkpoint && {
      checkpoint: checkOptions("fit checkpoint", checkpoint, {
        epochs: "number",
        steps: "number",
        seconds: "number",
      }),
    }),
    ...(callbacks && { callbacks: checkCallbacks(callbacks) }),
  };
}

/** A copy whose functions are called as those of the caller's object. */
function checkCallbacks(callbacks: Callbacks): Callbacks {
  const { onStep, onValidate, onEpoch, onNote } = checkOptions("fit callbacks", callbacks, {
    onStep: "function",
    onValidate: "function",
    onEpoch: "function",
    onNote: "function",
  });
  return {
    onStep: onStep?.bind(callbacks),
    onValidate: onValidate?.bind(callbacks),
    onEpoch: onEpoch?.bind(callbacks),
    onNote: onNote?.bind(callbacks),
  };
}

function checkImages(model: Model, data: AnyDataset): void {
  checkDataset("fit", data);
  if (data.shape.some((d, i) => d !== model.inputShape[i]))
    throw new BayesError(
      `[fit] expected images of ${model.inputShape.join("x")} for model ${model.name}, received ${data.shape.join("x")} in data set ${data.name}`,
      { code: "ERR_BAYES_DATA" },
    );
}
