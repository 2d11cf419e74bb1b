/**
 * Predictions of any number of callers share launches. A row is the image's index in its own call, so company never shows in float32. Launches
 * have few sizes, whose programs are kept with the model until a slot or noise stream of its store changes; calls have equal shares of a launch.
 */
import type { Turn } from "../graph/turns.ts";
import type { Model } from "../models/model.ts";
import { onAbort } from "../util/abort.ts";
import { BayesError } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { seedKey } from "../util/philox.ts";
import { launchSize, launchSizes } from "./launches.ts";
import { type LaunchKind, LaunchPrograms } from "./programs.ts";
import { type Call, type Segment, takeShares } from "./queue.ts";

/** Noise of predictions has a step of its own, so that it is none of the training's. */
export const PREDICT_STEP = -1;

/** Launches of one native run: no more than take about so long, so that a call that comes meanwhile does not wait longer. */
const RUN_MS = 20;
const MOST_LAUNCHES = 64;
/** A launch that took no longer is run on the thread of the event loop: to hand it over and back would take as long. */
const DIRECT_MS = 1;
/** A turn has as many runs as begin within this time: beside training, whose turns take 100 ms, predictions get a third. */
const TURN_MS = 40;

/** What the model computes for the images of one call, by name: each [samples, count, ...]. */
export type Outputs = Record<string, Float32Array>;

export interface EngineOptions extends LaunchKind {
  readonly seed: number;
  /** Images of the largest launch. */
  readonly maxBatch: number;
  /** Milliseconds that a call waits for company. */
  readonly maxWait: number;
  /** Calls that may wait at the same time. */
  readonly maxQueue: number;
}

export interface CallOptions {
  /** Called with the number of images done; the call ends after it has, also where it is asynchronous. */
  readonly onProgress?: (done: number) => unknown;
  /** Takes the call back: it is rejected with the signal's reason, and none of its images is being computed any more then. */
  readonly signal?: AbortSignal;
}

interface Pending extends Call {
  /** Noise row of its first image. */
  readonly firstRow: number;
  readonly since: number;
  outputs: Record<string, Float32Array>;
  readonly onProgress: CallOptions["onProgress"];
  /** What an asynchronous {@link onProgress} still has to do. */
  said?: Promise<unknown>;
  readonly resolve: (outputs: Outputs) => void;
  readonly reject: (error: unknown) => void;
  /** Some of its images are in the run under way. */
  flying: boolean;
  /** Why the call is not to be answered, once that run is over. */
  cancelled: { readonly reason: unknown } | undefined;
  settled: boolean;
}

/**
 * Puts the images of any number of calls together into launches and takes the outputs apart again. An image's noise is a
 * function of (seed, its index in its call, sample), so its company never shows.
 */
export class Engine {
  readonly #model: Model;
  readonly #options: EngineOptions;
  readonly #kind: LaunchKind;
  readonly #programs: LaunchPrograms;
  readonly #rng: Int32Array;
  readonly #calls: Pending[] = [];
  #unanswered = 0;
  #draining = false;
  #wake: (() => void) | undefined;
  #launches = 1; // of the next run, if so many wait
  #stage: { u8: Uint8Array; f32: Float32Array } = { u8: new Uint8Array(0), f32: new Float32Array(0) };

  constructor(model: Model, options: EngineOptions) {
    this.#model = model;
    this.#options = options;
    const { mode, samples, precision } = options;
    this.#kind = { mode, samples, precision };
    this.#programs = LaunchPrograms.of(model);
    this.#rng = Int32Array.of(...seedKey(options.seed), PREDICT_STEP, 0);
  }

  get idle(): boolean {
    return this.#unanswered === 0;
  }

  /** Compiles a program of every size for pixels of this type. */
  async prepare(dtype: "u8" | "f32"): Promise<void> {
    for (const size of launchSizes(this.#options.maxBatch))
      await this.#model.store.turn("a prediction", () => this.#programs.get(this.#kind, size, dtype));
  }

  /**
   * @param images `count` images of the model's input shape; copied, so the caller may use the array again
   * @param firstRow noise row of the first image, where the call is a piece of a larger set
   */
  run(
    images: Uint8Array | Float32Array,
    count: number,
    { onProgress, signal }: CallOptions,
    firstRow = 0,
  ): Promise<Outputs> {
    const { maxQueue, maxBatch } = this.#options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#calls.length >= maxQueue)
        throw new BayesError(`[predict] expected at most ${maxQueue} calls to wait at a time, received another`, {
          code: "ERR_BAYES_QUEUE_FULL",
        });
      const deaf = signal && onAbort(signal, () => this.#cancel(call, signal.reason));
      const settle = () => {
        this.#unanswered--;
        deaf?.();
      };
      const call: Pending = {
        images: images instanceof Uint8Array ? new Uint8Array(images) : new Float32Array(images), // Buffer.slice copies nothing
        count,
        firstRow,
        taken: 0,
        done: 0,
        since: performance.now(),
        outputs: {},
        onProgress,
        resolve: (outputs) => {
          settle();
          resolve(outputs);
        },
        reject: (error) => {
          settle();
          reject(error);
        },
        flying: false,
        cancelled: undefined,
        settled: false,
      };
      this.#calls.push(call);
      this.#unanswered++;
      if (this.#wake && this.#waiting() >= maxBatch) this.#wake();
      if (!this.#draining) void this.#drain();
    });
  }

  #waiting(): number {
    return this.#calls.reduce((sum, call) => sum + call.count - call.taken, 0);
  }

  async #drain(): Promise<void> {
    this.#draining = true;
    try {
      while (this.#calls.length) {
        await this.#company();
        if (this.#calls.length) await this.#model.store.turn("a prediction", (turn) => this.#serve(turn));
      }
    } catch (error) {
      for (const call of [...this.#calls]) this.#fail(call, error); // the model was closed
    } finally {
      this.#draining = false;
    }
  }

  /** Milliseconds until the next launch should begin. */
  #rest(): number {
    const { maxWait, maxBatch } = this.#options;
    if (maxWait === 0 || this.#waiting() >= maxBatch) return 0;
    return this.#calls.reduce((since, call) => Math.min(since, call.since), Infinity) + maxWait - performance.now();
  }

  /** Until those have called who are about to (the answers of the launch before are on their way), or longer if so wished. */
  #company(): Promise<void> {
    const rest = this.#rest();
    return new Promise((resolve) => {
      if (rest <= 0) return void setImmediate(resolve);
      const go = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      const timer = setTimeout(go, rest);
      this.#wake = go;
    });
  }

  async #serve(turn: Turn): Promise<void> {
    const started = performance.now();
    do {
      await this.#launch(turn);
      await new Promise((resolve) => setImmediate(resolve)); // those who were answered may ask again
    } while (performance.now() - started < TURN_MS && this.#calls.length && this.#rest() <= 0);
  }

  async #launch(turn: Turn): Promise<void> {
    const { maxBatch, samples } = this.#options;
    const waiting = this.#waiting();
    const size = launchSize(waiting, maxBatch);
    const launches = Math.max(1, Math.min(this.#launches, Math.floor(waiting / size)));
    const segments = takeShares(this.#calls, launches * size);
    for (const { call } of segments) call.flying = true;
    try {
      const dtype = segments.every(({ call }) => call.images instanceof Uint8Array) ? "u8" : "f32";
      const launch = this.#programs.get(this.#kind, size, dtype);
      const { images, rows } = this.#gather(segments, launches * size, dtype);
      const started = performance.now();
      const values = { images, rows, rng: this.#rng };
      const outputs =
        launches * launch.ms <= DIRECT_MS
          ? launch.program.run(values, launches)
          : await launch.program.runAsync(values, launches, turn);
      launch.ms = (performance.now() - started) / launches;
      if (size === maxBatch)
        this.#launches = Math.max(1, Math.min(MOST_LAUNCHES, Math.round(RUN_MS / Math.max(launch.ms, 0.1))));
      this.#deliver(segments, outputs, { size, samples, launches });
    } catch (error) {
      for (const { call } of segments) this.#fail(call, error);
    }
  }

  /** The pixels and rows of a run; places that nobody asked for get the last image again. */
  #gather(segments: readonly Segment<Pending>[], places: number, dtype: "u8" | "f32") {
    const pixels = this.#model.inputShape.reduce((a, b) => a * b);
    if (this.#stage[dtype].length < places * pixels)
      this.#stage = { ...this.#stage, [dtype]: new (dtype === "u8" ? Uint8Array : Float32Array)(places * pixels) };
    const images = this.#stage[dtype].subarray(0, places * pixels);
    const rows = new Int32Array(places);
    let place = 0;
    for (const { call, first, count } of segments) {
      images.set(call.images.subarray(first * pixels, (first + count) * pixels), place * pixels);
      for (let i = 0; i < count; i++) rows[place++] = call.firstRow + first + i;
    }
    for (const last = place - 1; place < places; place++) {
      images.copyWithin(place * pixels, last * pixels, (last + 1) * pixels);
      rows[place] = rows[last];
    }
    return { images, rows };
  }

  #deliver(segments: readonly Segment<Pending>[], outputs: Outputs, run: Run): void {
    let at = 0;
    for (const segment of segments) {
      const { call, count } = segment;
      const place = at;
      at += count;
      call.flying = false;
      if (call.cancelled) {
        this.#fail(call, undefined);
        continue;
      }
      try {
        if (count === call.count && count === run.size * run.launches && run.launches === 1) call.outputs = outputs;
        else for (const name of Object.keys(outputs)) take(call, name, outputs[name], segment, place, run);
        call.done += count;
        const said = call.onProgress?.(call.done) as PromiseLike<unknown> | undefined;
        if (typeof said?.then === "function") {
          call.said = Promise.all([call.said, said]);
          call.said.catch((error: unknown) => this.#fail(call, error));
        }
      } catch (error) {
        this.#fail(call, error); // no memory for the outputs, or the caller's own
        continue;
      }
      if (call.settled || call.done < call.count) continue; // its own callback may have taken it back
      if (call.said)
        void call.said.then(() => this.#finish(call)).catch(() => {}); // told above
      else this.#finish(call);
    }
  }

  #finish(call: Pending): void {
    if (call.settled) return;
    call.settled = true;
    call.resolve(call.outputs);
  }

  /** At once, or as soon as the run with some of its images is over: who has all his answers may close the model. */
  #cancel(call: Pending, reason: unknown): void {
    call.cancelled = { reason };
    if (call.flying) this.#forget(call);
    else this.#fail(call, reason);
  }

  #forget(call: Pending): void {
    const at = this.#calls.indexOf(call);
    if (at >= 0) this.#calls.splice(at, 1);
  }

  #fail(call: Pending, error: unknown): void {
    this.#forget(call);
    if (call.settled) return;
    call.settled = true;
    call.reject(call.cancelled ? call.cancelled.reason : error);
  }
}

/** How a run's outputs lie: [launches, samples, size, ...]. */
interface Run {
  readonly size: number;
  readonly samples: number;
  readonly launches: number;
}

/** Copies a segment's outputs, which begin at `place`, to where they are in their call's: [samples, count, ...]. */
function take(call: Pending, name: string, from: Float32Array, segment: Segment<Pending>, place: number, run: Run) {
  const { size, samples, launches } = run;
  const each = from.length / (launches * samples * size);
  const to = (call.outputs[name] ??= floats(samples * call.count * each));
  let { first, count } = segment;
  while (count > 0) {
    const [launch, at] = [Math.floor(place / size), place % size];
    const n = Math.min(count, size - at);
    for (let s = 0; s < samples; s++) {
      const source = ((launch * samples + s) * size + at) * each;
      const target = (s * call.count + first) * each;
      for (let i = 0; i < n * each; i++) to[target + i] = from[source + i];
    }
    place += n;
    first += n;
    count -= n;
  }
}

/** @throws BayesError where there is no memory for them */
export const floats = (length: number): Float32Array =>
  newArray("predict", "f32", length, "fewer samples, or fewer images at a time, would fit");
