import { join } from "node:path";
import { inspect } from "node:util";
import { z } from "zod";
import { type OpenOptions, openAs } from "../checkpoints/open.ts";
import { type Decoder, each, openDecoder } from "../data/decode.ts";
import { type ImageInput, pixelsFor, type Taken, takeInput } from "../data/image-input.ts";
import { type Answer, answerOf, certaintyOf, doubtOf, type Likelihood } from "../likelihoods/shared/likelihood.ts";
import type { Model } from "../models/model.ts";
import { PRECISIONS, precisionOn } from "../native/device.ts";
import { isSignal } from "../util/arrays.ts";
import { BayesError, checkInt, checkNumber, checkOptions, checkPath, fail } from "../util/errors.ts";
import { readJson } from "../util/json.ts";
import { statOf } from "../util/regular.ts";
import { largestLaunch } from "./launches.ts";
import { LAUNCH_OPTIONS, Predictor, type PredictorOptions } from "./predictor.ts";

export interface OpenRunOptions<L extends Likelihood = Likelihood>
  extends OpenOptions<L>,
    Omit<PredictorOptions, "maxQueue"> {
  /** Answers are `unsure` below this certainty; null: never. Default: the model's threshold, and never without one. */
  readonly threshold?: number | null;
  /** Colour that transparent images are laid on. Default: as in training; white where that is not known. */
  readonly background?: string;
  /** Calls that may be unanswered at the same time, default 1024; one more is rejected with code "ERR_BAYES_QUEUE_FULL". */
  readonly maxQueue?: number;
}

export interface AskOptions {
  /** Takes the call back: it is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** The answer that a likelihood gives about one example: {@link ClassAnswer} of classes. */
export type AnswerOf<L extends Likelihood> =
  NonNullable<L["answer"]> extends (...args: never[]) => infer A ? A : Answer;

/** An answer, and whether to rely on it. */
export type Judged<L extends Likelihood = Likelihood> = AnswerOf<L> & {
  /** In the likelihood's measure: probability of the class, minus the standard deviation of a number. */
  readonly certainty: number;
  /** Whether the certainty is below the threshold: better say "I don't know". */
  readonly unsure: boolean;
  /** Of an unsure answer: a short sentence for people. */
  readonly why?: string;
  readonly error?: undefined;
};

/** Stands for the answer about one of several inputs that is no image that the model can take. */
export interface Unanswered {
  readonly error: BayesError;
}

/** A model that is asked by calling it. */
export interface OpenedRun<L extends Likelihood = Likelihood> {
  /**
   * The answer about an image. It does not depend on what else is asked at the time.
   * @throws BayesError (the promise is rejected) of code "ERR_BAYES_DATA" for an image that cannot be decoded or does not fit the
   *   model, "ERR_BAYES_QUEUE_FULL" when too many calls are unanswered; the signal's reason when it aborts
   */
  (input: ImageInput, options?: AskOptions): Promise<Judged<L>>;
  /**
   * The answers about several images, each the one that it would have got alone. An input that cannot be decoded costs only
   * itself: it has an `error` in place of an answer. All of them are one call.
   */
  (inputs: readonly ImageInput[], options?: AskOptions): Promise<(Judged<L> | Unanswered)[]>;
  readonly model: Model<L>;
  /** Calls that are not answered yet. */
  readonly unanswered: number;
  /** Compiles the programs now that the first calls would have to wait for, some tenths of a second. */
  prepare(): Promise<void>;
  /** Frees the model as soon as the computation under way is over; calls that still wait are rejected. */
  close(): Promise<void>;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
  toString(): string;
}

/**
 * Opens a trained model to be asked about images: the folder of a run, or a file that `saveModel` wrote. Images are decoded
 * and scaled as the training images were, off the event loop, and any number of calls may be under way.
 *
 * Each image is answered as `predict` answers it alone, with as many samples and the seed that the run was tested with (where
 * its config.json says so; else 32 and 0), unless the options say otherwise.
 * @param path a run folder or a safetensors file
 * @throws BayesError when there is none, it is damaged, or options make no sense
 * @example
 * <!-- not run: there are no such files -->
 * ```ts
 * import { type Categorical, openRun } from "bayescnn";
 *
 * const classify = await openRun<Categorical>("runs/pets", { threshold: 0.9 });
 * const { label, unsure, why } = await classify("photo.jpg");
 * console.log(unsure ? `I don't know: ${why}` : label);
 * await classify.close();
 * ```
 */
export async function openRun<L extends Likelihood = Likelihood>(
  path: string,
  options: OpenRunOptions<L> = {},
): Promise<OpenedRun<L>> {
  const where = "openRun";
  checkPath(where, path, "run or model");
  const own = checkOptions<OpenRunOptions<L>>(where, options, {
    device: "object|string",
    build: "function",
    bayes: "object",
    likelihood: "object",
    ...LAUNCH_OPTIONS,
    threshold: "number|null",
    background: "string",
    maxQueue: "number",
  });
  const { device, build, bayes, likelihood, threshold, background, maxQueue = 1024, ...sampling } = own;
  checkInt(where, "maxQueue", maxQueue, 1);
  if (typeof threshold === "number") checkNumber(where, "threshold", threshold);
  if (background !== undefined) await openDecoder({ background }); // a colour?
  const tested = recorded(path);
  const model = openAs<L>(where, path, { device, build, bayes, likelihood });
  try {
    const given = Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));
    const precision = tested.precision && precisionOn(model.store.device, tested.precision);
    const predictor = new Predictor(model, { ...tested, precision, ...given, maxQueue: Number.MAX_SAFE_INTEGER });
    return opened(path, predictor, { threshold, background, maxQueue });
  } catch (error) {
    model.close();
    throw error;
  }
}

/** What a run of the command line says about how it was tested. Other programs' config.json say nothing of it. */
const config = z.looseObject({
  testSamples: z.int().min(1).optional(),
  testSeed: z.int().min(0).optional(),
  training: z.looseObject({ precision: z.enum(PRECISIONS).optional() }).optional(),
});

function recorded(run: string): Pick<PredictorOptions, "samples" | "seed" | "precision"> {
  const path = join(run, "config.json");
  if (!statOf(path)?.isFile()) return {};
  const parsed = config.safeParse(readJson(path));
  if (!parsed.success) {
    const [{ path: at, message }] = parsed.error.issues;
    throw new BayesError(
      `[${path}] expected the configuration of a run, received one with ${at.join(".") || "its top level"} wrong: ${message}`,
      { code: "ERR_BAYES_FILE" },
    );
  }
  const { testSamples, testSeed, training } = parsed.data;
  return {
    ...(testSamples === undefined ? {} : { samples: testSamples }),
    ...(testSeed === undefined ? {} : { seed: testSeed }),
    ...(training?.precision ? { precision: training.precision } : {}),
  };
}

function opened<L extends Likelihood>(
  path: string,
  predictor: Predictor<L>,
  options: Pick<OpenRunOptions<L>, "threshold" | "background"> & { readonly maxQueue: number },
): OpenedRun<L> {
  const where = "classify";
  const { model } = predictor;
  const { maxQueue } = options;
  const limit = () => (options.threshold === undefined ? model.threshold?.certainty : (options.threshold ?? undefined));
  let unanswered = 0;
  let closing: Promise<void> | undefined;

  let decoder: Promise<Decoder> | undefined;
  let laidOn = "";
  const decoderOf = (): Promise<Decoder> => {
    const background = options.background ?? model.preprocess?.background ?? "white"; // a fit may change the model's
    if (background !== laidOn) decoder = openDecoder({ background });
    laidOn = background;
    return decoder!;
  };
  const answer = async (taken: Taken, signal?: AbortSignal): Promise<Judged<L>> => {
    const { inputShape: shape, preprocess } = model;
    const images = await pixelsFor(where, taken, { shape, preprocess, decoder: decoderOf }, signal);
    const prediction = await predictor.predict({ images, count: 1, shape }, { signal });
    const { likelihood } = model;
    const [certainty] = certaintyOf(likelihood, prediction);
    const least = limit();
    const unsure = least !== undefined && !(certainty >= least);
    const why = unsure ? { why: doubtOf(likelihood, prediction, 0, least) } : {};
    return { ...answerOf(likelihood, prediction, 0), certainty, unsure, ...why } as Judged<L>;
  };
  const orError = (taken: Taken, signal?: AbortSignal): Promise<Judged<L> | Unanswered> =>
    answer(taken, signal).catch((error) => {
      if (error?.code === "ERR_BAYES_DATA") return { error };
      throw error;
    });

  const ask = async (input: ImageInput | readonly ImageInput[], askOptions: AskOptions = {}) => {
    const { signal } = checkOptions(where, askOptions, { signal: "object" });
    if (signal && !isSignal(signal)) fail(where, "signal as an AbortSignal", signal);
    model.store.checkOpen(`${where} ${model.name}`);
    signal?.throwIfAborted();
    if (unanswered >= maxQueue)
      throw new BayesError(`[${where}] expected at most ${maxQueue} unanswered calls at a time, received another`, {
        code: "ERR_BAYES_QUEUE_FULL",
      });
    unanswered++;
    try {
      if (!Array.isArray(input)) return await answer(takeInput(where, input), signal);
      const taken = input.map((one, i) => takeInput(`${where}, input ${i}`, one));
      // so many at once that launches are full while the next images are being decoded
      return await each(taken, (one) => orError(one, signal), 2 * largestLaunch(model.store.device, predictor.samples));
    } finally {
      unanswered--;
    }
  };

  const close = (): Promise<void> => {
    if (model.store.closed) return Promise.resolve();
    closing ??= model.store.turn("closing", () => model.close());
    return closing;
  };
  const text = (): string => {
    const least = limit();
    const says = least === undefined ? "always answers" : `unsure below certainty ${Number(least.toPrecision(4))}`;
    const state = model.store.closed ? "closed" : `${unanswered} unanswered`;
    const { kind } = model.likelihood.config;
    return `openRun(${path}): ${model.name}, ${model.inputShape.join("x")}, ${kind}, ${predictor.samples} samples, ${says}, ${state}`;
  };
  const methods = {
    prepare: () => predictor.prepare(model.preprocess?.pixels),
    close,
    toString: text,
    [inspect.custom]: text,
    [Symbol.dispose]: () => void close(),
    [Symbol.asyncDispose]: close,
  };
  return Object.defineProperties(Object.assign(ask, methods), {
    model: { value: model, enumerable: true },
    unanswered: { get: () => unanswered, enumerable: true },
  }) as unknown as OpenedRun<L>;
}
