import { crc32 } from "node:zlib";
import { restore } from "../checkpoints/checkpoint.ts";
import { type EpochRecord, freshState, type TrainingState } from "../checkpoints/state.ts";
import { type AnyDataset, isStreamed } from "../data/dataset.ts";
import { bytesOf, freshKeysOf } from "../data/identity.ts";
import { checkPreprocess, type Preprocess } from "../data/prepare.ts";
import { normalizationOf } from "../data/source.ts";
import type { Store } from "../graph/store.ts";
import { forgetChosen } from "../models/chosen.ts";
import { checkModel, type Model } from "../models/model.ts";
import { copyOf } from "../util/arrays.ts";
import { BayesError } from "../util/errors.ts";
import { type Progress, progress } from "../util/progress.ts";
import { RunFolder } from "./folder.ts";
import { widen } from "./initialSigma.ts";
import { type HeldLock, RunLock } from "./lock.ts";
import { Loop, note } from "./loop.ts";
import { type FitData, type FitOptions, partsOf, type Settings, type Settled } from "./options.ts";
import { type Recipe, recipeSentence } from "./recipe.ts";
import { settle } from "./settle.ts";
import { compileStep, dropData, residentData, type StepProgram } from "./step.ts";
import { stepsPerEpoch } from "./steps.ts";

export type { EpochRecord } from "../checkpoints/state.ts";
export type { Callbacks, FitData, FitOptions, Monitor, StepRecord } from "./options.ts";
export type { Recipe } from "./recipe.ts";

export interface FitResult {
  /** "finished": all epochs; "early": by early stopping; "aborted": by the signal, to be resumed. */
  readonly end: "finished" | "early" | "aborted";
  /** Whether the signal stopped it. */
  readonly stopped: boolean;
  /** Steps done since the beginning, those before a resume included. */
  readonly steps: number;
  /** One record per whole epoch since the beginning. */
  readonly history: readonly EpochRecord[];
  /** The best validation of the monitored figure, and the number of steps it came after. */
  readonly best: { readonly value: number; readonly step: number } | undefined;
  /** What it did where nothing was said, and why; absent where it was stopped before it was known. */
  readonly recipe?: Recipe;
  /** Of this call; not reproducible. */
  readonly wall: { readonly seconds: number; readonly examplesPerSecond: number };
}

const busy = new WeakSet<Store>();

/**
 * Trains a model in place, off the event loop: chunks of steps run on the library's own thread. Everything is a function
 * of (model, data, options): the number of threads, the length of a chunk, and whether the run was stopped and resumed
 * never show in a single bit of the parameters or the metrics.
 *
 * Options and the parts of the data are copied at once, pixels and targets of the training set when the first step begins:
 * leave those as they are until then, and the pixels of a streamed set until the run has ended.
 *
 * A NaN or an infinity in the loss or a gradient ends it with an error that names the op, the layer and the step; the
 * parameters are then those before that step.
 *
 * @throws BayesError for a model and data that do not fit together, a second fit on the same model, a run folder that
 *   holds another run or in which somebody else works (code "ERR_BAYES_BUSY"); nothing has changed then
 * @example
 * <!-- setup: import { createModel, embeddedMnist, fit, split } from "bayescnn";
 * const { train, valid } = split(embeddedMnist().train, { train: 640, valid: 64 }, 1);
 * const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 }); -->
 * ```ts
 * const { history } = await fit(model, { train, valid }, { epochs: 20, seed: 1, runDir: "runs/1" });
 * ```
 */
export async function fit(model: Model, given: FitData, options: FitOptions = {}): Promise<FitResult> {
  checkModel("fit", model, { idle: false });
  const data = partsOf(given);
  const settled = settle(model, data, options);
  const { store } = model;
  if (busy.has(store))
    throw new BayesError(`[fit] expected an idle model, received ${model.name}, which another fit is training`, {
      code: "ERR_BAYES_BUSY",
    });
  busy.add(store);
  const own = ownValidation(data);
  try {
    using lock = settled.runDir === undefined ? undefined : RunLock.take(settled.runDir);
    const preprocess = settled.preprocess ?? (await readPreprocess(model, data, settled));
    if (!preprocess) return STOPPED_BEFORE;
    return await train(model, own, { ...settled, preprocess }, lock);
  } finally {
    busy.delete(store);
  }
}

/** The validation set is looked at until the end: it is not the caller's any more. */
function ownValidation({ train, valid }: FitData): FitData {
  if (!valid || isStreamed(valid)) return { train, valid };
  const images = copyOf(valid.images);
  const copied = { ...valid, images, targets: copyOf(valid.targets) };
  return { train: sameImages(train, valid) ? { ...train, images } : train, valid: copied };
}

const STOPPED_BEFORE: FitResult = Object.freeze({
  end: "aborted",
  stopped: true,
  steps: 0,
  history: [],
  best: undefined,
  wall: { seconds: 0, examplesPerSecond: 0 },
});

/**
 * The normalization of a streamed training set: of the run that is resumed, whose data are compared later, else by a pass
 * over all images. Undefined when the signal aborts meanwhile.
 */
async function readPreprocess(model: Model, { train }: FitData, s: Settled): Promise<Preprocess | undefined> {
  const { runDir, resume = false, signal } = s;
  if (runDir !== undefined) {
    const known = resume ? RunFolder.settings(runDir)?.preprocess : undefined;
    if (known) return checkPreprocess(`fit ${runDir}`, known as unknown as Preprocess, model.inputShape[2]);
    if (!resume) RunFolder.checkFresh(runDir); // another run in it is to be known before the pass, not after
  }
  const bar = progress("statistics", 2 * train.count, { unit: "images", silent: !s.progress });
  try {
    return await normalizationOf(train, { signal, onProgress: (done) => bar.update(done) });
  } catch (error) {
    if (signal?.aborted) return undefined;
    throw error;
  } finally {
    bar.stop();
  }
}

async function train(model: Model, data: FitData, s: Settings, lock: HeldLock | undefined): Promise<FitResult> {
  const { store } = model;
  const owner = `fit of ${model.name}`;
  const identity = lock ? identify(model, data, s) : {}; // every image is hashed: only for who keeps it
  const folder = lock && new RunFolder(lock, s.resume ?? false, identity);
  const programs = new Map<number, StepProgram>();
  const before = { likelihood: model.likelihood, preprocess: model.preprocess, threshold: model.threshold };
  let recipe = s.recipe;
  let narrow: (() => void) | undefined;
  let loop: Loop | undefined;
  let bar: Progress | undefined;
  try {
    const state = await store.turn(owner, () => {
      const state = prepare(model, data, s, programs, folder, identity);
      if (!folder?.checkpoint) ({ recipe, narrow } = begin(model, data, s));
      return state;
    });
    folder?.open(state.step, (sentence) => note(s, sentence));
    loop = new Loop(model, data, s, programs, folder, state, owner);
    if (!loop.over) {
      const had = { temperature: before.likelihood.temperature, threshold: model.threshold };
      forgetChosen(model, (sentence) => note(s, sentence), had);
    }
    bar = progress("train", loop.examplesLeft, { unit: "examples", silent: !s.progress });
    return { ...(await follow(loop, s, bar)), recipe };
  } catch (error) {
    if (!loop?.state.step) {
      model.learn(before.likelihood, before.preprocess); // it knows no more than before
      model.threshold = before.threshold;
      narrow?.();
    }
    throw error;
  } finally {
    bar?.stop();
    loop?.close();
    folder?.close();
    for (const p of programs.values()) p.close();
    await store
      .turn(owner, () => dropData(model))
      .catch((error: unknown) => {
        if (!store.closed) throw error; // else there is nothing left to drop
      });
  }
}

/** Everything in the store that a run needs, and where it begins. */
function prepare(
  model: Model,
  data: FitData,
  s: Settings,
  programs: Map<number, StepProgram>,
  folder: RunFolder | undefined,
  identity: TrainingState["settings"],
): TrainingState {
  const { store } = model;
  const checkpoint = folder?.checkpoint;
  if (data.valid && sameImages(data.valid, data.train))
    note(s, "the validation images are the training images: their figures say nothing about new ones");
  for (const { name, role } of [...store.slots.values()]) if (role === "moment") store.delete(name);
  model.learn(s.likelihood, s.preprocess);
  residentData(model, data.train, s.targets, s.weights);
  if (checkpoint) restore(model, checkpoint); // masks must be there when the step is traced
  for (const size of [s.batchSize, s.dropLast ? 0 : data.train.count % s.batchSize])
    if (size > 0) programs.set(size, compileLast(model, size, s));
  if (!checkpoint) {
    return freshState(identity, s.epochs);
  }

  restore(model, checkpoint, { moments: true });
  replanned(data.train.count, checkpoint.training!, s);
  if (checkpoint.device !== store.device.name)
    note(
      s,
      `resuming on ${store.device.name} a run of ${checkpoint.device}: its last bits will differ from an uninterrupted one`,
    );
  return { ...checkpoint.training!, settings: identity, epochs: s.epochs };
}

/** Widens a new posterior, and says what was chosen. @returns the recipe as it is followed, and what takes the widening back */
function begin(
  model: Model,
  { train }: FitData,
  { recipe, callbacks }: Settings,
): { recipe: Recipe; narrow: (() => void) | undefined } {
  const { initialSigma: wide, ...why } = recipe.why;
  const narrow = widen(model, recipe.initialSigma);
  const followed = narrow || !wide ? recipe : { ...recipe, initialSigma: 0, why };
  const chosen = recipeSentence(train.count, followed);
  if (chosen) callbacks?.onNote?.(chosen); // no warning: nothing is wrong
  return { recipe: followed, narrow };
}

const sameImages = (a: AnyDataset, b: AnyDataset): boolean =>
  a === b || (!isStreamed(a) && !isStreamed(b) && a.images === b.images);

async function follow(loop: Loop, s: Settings, bar: Progress): Promise<FitResult> {
  const started = performance.now();
  const todo = loop.examplesLeft;
  while (!loop.over && !s.signal?.aborted) {
    const last = await loop.chunk();
    if (!last) continue;
    const { epoch, loss, metrics } = last;
    bar.update(todo - loop.examplesLeft, { epoch: `${epoch + 1}/${s.epochs}`, loss, ...metrics });
  }
  await loop.save();
  if (s.restoreBest && loop.over && loop.state.best) await loop.restoreBest();
  const { step, ended, history, best } = loop.state;
  const seconds = (performance.now() - started) / 1000;
  return {
    end: ended ? "early" : loop.over ? "finished" : "aborted",
    stopped: !loop.over,
    steps: step,
    history,
    best: best && { value: s.monitor.better === "lower" ? best.value : 0 - best.value, step: best.step },
    wall: { seconds, examplesPerSecond: (todo - loop.examplesLeft) / seconds },
  };
}

/** Says what becomes of the schedules when a run goes on for another number of epochs than it was planned for. */
function replanned(count: number, before: TrainingState, s: Settings): void {
  if (before.epochs === s.epochs) return;
  const perEpoch = stepsPerEpoch(count, s);
  const step = before.step;
  const rate = (epochs: number, at: number) =>
    s.learningRate.at({ step: at, stepsPerEpoch: perEpoch, totalSteps: epochs * perEpoch }, before.plateau);
  const [last, next] = [rate(before.epochs, Math.max(0, step - 1)), rate(s.epochs, step)];
  const jump =
    Math.abs(next - last) > 0.05 * Math.max(next, last)
      ? `the learning rate goes from ${last.toExponential(1)} to ${next.toExponential(1)}, as the schedule ${s.learningRate.name} is stretched over all ${s.epochs}`
      : `the learning rate goes on at ${next.toExponential(1)} (schedule ${s.learningRate.name})`;
  note(
    s,
    `going on with a run that was planned for ${before.epochs} epochs, now for ${s.epochs}: ${jump}; a run of ${s.epochs} epochs from the beginning would have ended elsewhere`,
  );
}

/** Compiles the step of a batch; where batch norm cannot take a last batch of one example, says so in fit's terms. */
function compileLast(model: Model, size: number, s: Settings): StepProgram {
  try {
    return compileStep(model, size, s);
  } catch (error) {
    if (size !== 1 || s.batchSize === 1 || !(error instanceof BayesError)) throw error;
    throw new BayesError(
      `[fit] expected every batch to work, received a last batch of one example in each epoch (batchSize ${s.batchSize}): another batchSize or dropLast: true avoids it (${error.message})`,
      { cause: error },
    );
  }
}

/** What makes two runs the same run. Not the epochs: a finished run may be given more of them. */
function identify(model: Model, { train, valid }: FitData, s: Settings): TrainingState["settings"] {
  const identity = {
    seed: s.seed,
    modelSeed: model.seed,
    batchSize: s.batchSize,
    samples: s.samples,
    precision: s.precision,
    optimizer: s.optimizer.name,
    learningRate: s.learningRate.name,
    beta: s.beta.name,
    clipNorm: s.clipNorm,
    preprocess: s.preprocess,
    likelihood: s.likelihood.config,
    dropLast: s.dropLast,
    exampleWeights: s.weights && crc32(bytesOf(s.weights)),
    augment: s.augment,
    penalty: s.penalty !== undefined,
    ...(s.frozen.length > 0 ? { frozen: s.frozen } : {}),
    train: fingerprint(train),
    valid: valid && fingerprint(valid),
    validateEvery: s.validateEvery,
    monitor: s.monitor,
    earlyStopping: s.earlyStopping,
    restoreBest: s.restoreBest,
  };
  return JSON.parse(JSON.stringify(identity));
}

/** Alike for a set in memory and the same one streamed. */
function fingerprint(data: AnyDataset): { count: number; crc32: number } {
  return { count: data.count, crc32: crc32(bytesOf(data.targets), crc32(bytesOf(freshKeysOf(data)))) };
}
