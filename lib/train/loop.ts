import { loadCheckpoint, restore } from "../checkpoints/checkpoint.ts";
import { type EpochRecord, freshSums, type TrainingState } from "../checkpoints/state.ts";
import { mixupWeight } from "../data/augment.ts";
import { type AnyDataset, isStreamed } from "../data/dataset.ts";
import { RunError } from "../graph/compile.ts";
import type { Turn } from "../graph/turns.ts";
import type { Model } from "../models/model.ts";
import type { Data } from "../native/addon.ts";
import { evaluate } from "../predict/predict.ts";
import { BayesError, checkNumber, shorten, show } from "../util/errors.ts";
import { seedKey } from "../util/philox.ts";
import { warn } from "../util/warn.ts";
import type { RunFolder } from "./folder.ts";
import type { FitData, Settings, StepRecord } from "./options.ts";
import { Prefetch } from "./prefetch.ts";
import { COUNT, type StepProgram } from "./step.ts";
import { type Chunk, Steps } from "./steps.ts";

const CHUNK_MS = 100;
/** A reader that takes longer than this for a chunk is worth a word. */
const PATIENCE_MS = 30_000;

/** A sentence for whoever started the run. */
export const note = ({ callbacks }: Settings, sentence: string): unknown =>
  callbacks?.onNote ? callbacks.onNote(sentence) : warn(sentence);

/** The likelihood's figures by name: for every step of a chunk the sum over its rows. */
type Counts = readonly (readonly [name: string, sums: Float32Array])[];

/**
 * The training loop, one chunk of steps at a time. A chunk never reaches beyond a step after which something happens (the
 * end of an epoch, a checkpoint), so its length shows in nothing but time.
 */
export class Loop {
  /** Where training stands: all of it, apart from the store. Replaced, never changed. */
  state: TrainingState;
  readonly #model: Model;
  readonly #train: AnyDataset;
  readonly #valid: AnyDataset | undefined;
  readonly #s: Settings;
  readonly #programs: ReadonlyMap<number, StepProgram>;
  readonly #folder: RunFolder | undefined;
  readonly #owner: string;
  readonly #steps: Steps;
  #chunk: number;
  #prefetch: Prefetch | undefined;
  #best: ReadonlyMap<string, Data> | undefined;
  #savedAt = performance.now();
  #epochAt = performance.now();

  constructor(
    model: Model,
    { train, valid }: FitData,
    settings: Settings,
    programs: ReadonlyMap<number, StepProgram>,
    folder: RunFolder | undefined,
    state: TrainingState,
    owner: string,
  ) {
    this.#model = model;
    this.#train = train;
    this.#valid = valid;
    this.#s = settings;
    this.#programs = programs;
    this.#folder = folder;
    this.#owner = owner;
    this.#steps = new Steps(train, settings, state.step);
    this.#chunk = settings.chunk ?? 1;
    this.state = state;
    if (isStreamed(train))
      this.#prefetch = new Prefetch(train, state.step, (step) => this.#steps.indicesOf(step), settings.signal);
  }

  get over(): boolean {
    return this.state.ended || (this.state.step >= this.#steps.total && !this.#epochDue);
  }

  /** Whether the last step was an epoch's last, and what comes after it has not been done: its data could not be read. */
  get #epochDue(): boolean {
    const { step, history } = this.state;
    return step > 0 && step % this.#steps.perEpoch === 0 && history.length * this.#steps.perEpoch < step;
  }

  /** Stops reading ahead. */
  close(): void {
    this.#prefetch?.stop();
  }

  /** Examples that remain to be seen, epochs counted whole. */
  get examplesLeft(): number {
    const { epochs, batchSize, dropLast } = this.#s;
    const { step } = this.state;
    const perEpoch = dropLast ? this.#steps.perEpoch * batchSize : this.#train.count;
    const done = Math.floor(step / this.#steps.perEpoch) * perEpoch + (step % this.#steps.perEpoch) * batchSize;
    return epochs * perEpoch - done;
  }

  /**
   * Runs a chunk and whatever comes after its last step: callbacks, validation, checkpoint. Images that are streamed are
   * awaited first, outside a turn.
   * @returns the last step's record; undefined when there was none, because the signal aborts or an epoch had to be ended
   * @throws BayesError when images cannot be read: after a checkpoint
   */
  async chunk(): Promise<StepRecord | undefined> {
    if (this.#epochDue) {
      await this.#afterSteps();
      return undefined;
    }
    const chunk = this.#steps.plan(this.state.step, this.#chunk);
    const images = this.#prefetch && (await this.#reading(() => this.#awaitImages(chunk)));
    if (this.#prefetch && !images) return undefined;
    const records = await this.#turn(async (turn) => {
      const done = await this.#run(turn, chunk, images);
      this.#account(done.records, done.counts);
      for (const r of done.records) this.#s.callbacks?.onStep?.(r);
      return done.records;
    });
    await this.#afterSteps();
    return records[records.length - 1];
  }

  async #afterSteps(): Promise<void> {
    const epochEnded = this.#epochDue;
    if (epochEnded && !(await this.#endEpoch())) return;
    if (this.#checkpointDue(epochEnded)) await this.save();
  }

  /** What `work` gives; undefined when the signal aborts it. */
  async #unlessStopped<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (this.#s.signal?.aborted) return undefined;
      throw error;
    }
  }

  /** What `work` gives, which reads streamed data: undefined when the signal aborts, and a checkpoint before any error. */
  async #reading<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await this.#unlessStopped(work);
    } catch (error) {
      if (this.#model.store.closed) throw error;
      await this.save();
      const { step } = this.state;
      const where = this.#folder ? `; the checkpoint in ${this.#folder.path} is that after ${step} steps` : "";
      throw new BayesError(`${error instanceof Error ? error.message : error}${where}`, {
        code: error instanceof BayesError ? error.code : "ERR_BAYES_FILE",
        cause: error,
      });
    }
  }

  async #awaitImages({ first, n }: Chunk): Promise<Uint8Array | Float32Array> {
    const timer = setTimeout(() => {
      const { name } = this.#train;
      note(
        this.#s,
        `waiting since ${PATIENCE_MS / 1000} s for images of data set ${name} to be read, for step ${first}`,
      );
    }, PATIENCE_MS);
    try {
      return await this.#prefetch!.take(first, n);
    } finally {
      clearTimeout(timer);
    }
  }

  async save(): Promise<void> {
    await this.#turn(() => this.#folder?.save(this.#model, this.state));
    this.#savedAt = performance.now();
  }

  /** Everything that touches the model is in a turn, between which others may predict. */
  #turn<T>(work: (turn: Turn) => T | Promise<T>): Promise<T> {
    return this.#model.store.turn(this.#owner, work);
  }

  /** Calls in a turn, so that it finds the model idle, but waits outside: what it awaits takes turns like anybody's. */
  async #call<T>(callback: () => T | Promise<T>): Promise<T> {
    const { result } = await this.#turn(() => ({ result: callback() }));
    return result;
  }

  #rate(step: number): number {
    return finite(this.#s.learningRate.at(this.#steps.moment(step), this.state.plateau), "the learning rate", step);
  }

  #beta(step: number): number {
    return finite(this.#s.beta.at(this.#steps.moment(step)), "beta", step);
  }

  async #run(
    turn: Turn,
    { first, n, size, epoch, at }: Chunk,
    images: Uint8Array | Float32Array | undefined,
  ): Promise<{ records: StepRecord[]; counts: Counts }> {
    const { batchSize, samples, seed } = this.#s;
    const steps = Array.from({ length: n }, (_, i) => first + i);
    const lr = steps.map((step) => this.#rate(step));
    const beta = steps.map((step) => this.#beta(step));
    const key = seedKey(seed);
    const index = this.#steps.order(epoch).subarray(at * batchSize, at * batchSize + n * size);
    const mixup = this.#s.augment?.mixup;
    const feeds = {
      ...(images ? { images } : {}),
      index,
      epoch,
      rng: Int32Array.from(steps.flatMap((step) => [...key, step, 0])),
      lr: Float32Array.from(lr),
      klWeight: Float32Array.from(beta, (b) => b / this.#train.count),
      count: Int32Array.from(steps, (step) => step + 1),
      lam: mixup === undefined ? 0 : Float32Array.from(index, (i) => mixupWeight(seed, epoch, i, mixup)),
    };
    const started = performance.now();
    const out = await this.#programs
      .get(size)!
      .runAsync(feeds, n, turn)
      .catch((error: unknown) => {
        throw explain(error, first);
      });
    if (this.#s.chunk === undefined) {
      const perStep = (performance.now() - started) / n;
      this.#chunk = Math.max(1, Math.min(2 * this.#chunk, Math.round(CHUNK_MS / perStep)));
    }
    const counts: Counts = Object.entries(out).flatMap(([name, sums]) =>
      name.startsWith(COUNT) ? [[name.slice(COUNT.length), sums] as const] : [],
    );
    const records = steps.map((step, i) => ({
      step,
      epoch,
      loss: out.loss[i],
      nll: out.nll[i],
      ...(this.#model.bayesian ? { kl: out.kl[i], beta: beta[i] } : {}),
      lr: lr[i],
      metrics: Object.fromEntries(counts.map(([name, sums]) => [name, sums[i] / (size * samples)])),
    }));
    return { records, counts };
  }

  #account(records: readonly StepRecord[], counts: Counts): void {
    const sums = { ...this.state.sums, counts: { ...this.state.sums.counts } };
    for (const [i, r] of records.entries()) {
      const size = this.#steps.batchAt(r.step);
      sums.steps++;
      sums.seen += size;
      sums.loss += r.loss * size;
      sums.nll += r.nll * size;
      sums.kl += r.kl ?? 0;
      for (const [name, values] of counts) sums.counts[name] = (sums.counts[name] ?? 0) + values[i];
    }
    this.state = { ...this.state, step: this.state.step + records.length, sums };
    this.#folder?.write(records.map((r) => ({ ...r })));
  }

  /** @returns whether it came to its end, which the signal may prevent while validation images are read */
  async #endEpoch(): Promise<boolean> {
    const step = this.state.step - 1;
    const epoch = Math.floor(step / this.#steps.perEpoch);
    const [lr, beta] = [this.#rate(step), this.#beta(step)];
    const valid = await this.#validate(epoch);
    if (valid === "stopped") return false;
    const { sums, history } = this.state;
    const record: EpochRecord = {
      epoch,
      step,
      loss: sums.loss / sums.seen,
      nll: sums.nll / sums.seen,
      ...(this.#model.bayesian ? { kl: sums.kl / sums.steps, beta } : {}),
      lr,
      metrics: Object.fromEntries(
        Object.entries(sums.counts).map(([name, value]) => [name, value / (sums.seen * this.#s.samples)]),
      ),
      ...(valid ? { valid } : {}),
    };
    this.state = { ...this.state, sums: freshSums(), history: [...history, record] };
    const seconds = (performance.now() - this.#epochAt) / 1000;
    const wall = { seconds, examplesPerSecond: this.#train.count / seconds };
    this.#folder?.write([{ event: "epoch", ...record, wall }]);
    this.#epochAt = performance.now();
    await this.#call(() => this.#s.callbacks?.onEpoch?.(record));
    return true;
  }

  async #validate(epoch: number): Promise<EpochRecord["valid"] | "stopped"> {
    const { evaluate, validateEvery, epochs, monitor, callbacks } = this.#s;
    const due = (epoch + 1) % validateEvery === 0 || epoch + 1 === epochs;
    const valid = this.#valid;
    if (!valid || !due) return undefined;
    const figures = async () => (evaluate ? this.#call(() => evaluate(this.#model, valid)) : this.#evaluate(valid));
    const given = isStreamed(valid) ? await this.#reading(figures) : await this.#unlessStopped(figures);
    if (!given && this.#s.signal?.aborted) return "stopped";
    const metrics: Record<string, number> = { ...given };
    const { step } = this.state;
    for (const [name, value] of Object.entries(metrics))
      if (!Number.isFinite(value))
        throw new BayesError(
          `[fit] expected finite figures of the validation set, received ${shorten(name, 60)} ${show(value)} after step ${step}`,
          { code: "ERR_BAYES_NUMERIC" },
        );
      else metrics[name] = value + 0; // not -0: nothing may change on its way through JSON
    if (metrics[monitor.name] === undefined)
      throw new BayesError(
        `[fit] expected evaluate to give the monitored figure ${show(monitor.name)}, received ${shorten(Object.keys(metrics).join(", "))}`,
      );
    await this.#judge(monitor.better === "lower" ? metrics[monitor.name] : 0 - metrics[monitor.name]);
    await this.#call(() => callbacks?.onValidate?.(metrics, { step, epoch }));
    return metrics;
  }

  /** The likelihood's own figures: a function of the settings and the parameters alone, so a resumed run sees the same. */
  async #evaluate(valid: AnyDataset): Promise<Record<string, number>> {
    const { validationSamples: samples, seed, precision, signal } = this.#s;
    const { metrics } = await evaluate(this.#model, valid, { samples, seed, precision, signal });
    const { count, ...figures } = metrics;
    return figures;
  }

  /** Early stopping, the best weights and the plateau schedule; lower is better. */
  async #judge(value: number): Promise<void> {
    const { earlyStopping, learningRate, bestCheckpoint = true, restoreBest } = this.#s;
    const { best, step, plateau } = this.state;
    const better = !best || value < best.value - (earlyStopping?.margin ?? 0);
    const now = better ? { value, step, waited: 0 } : { ...best, waited: best.waited + 1 };
    this.state = {
      ...this.state,
      best: now,
      ended: earlyStopping !== undefined && now.waited >= earlyStopping.patience,
      plateau: learningRate.learn?.(plateau, value),
    };
    if (!better) return;
    await this.#turn(() => {
      if (this.#folder && (bestCheckpoint || restoreBest)) this.#folder.saveBest(this.#model);
      else if (restoreBest) this.#best = weightsOf(this.#model);
    });
  }

  /** Puts the weights of the best validation back. */
  async restoreBest(): Promise<void> {
    await this.#turn(() => {
      if (this.#folder) restore(this.#model, loadCheckpoint(this.#folder.best));
      else for (const [name, data] of this.#best ?? []) this.#model.store.set(name, data);
    });
  }

  #checkpointDue(epochEnded: boolean): boolean {
    const { epochs, steps, seconds } = this.#s.checkpoint;
    const { step } = this.state;
    if (epochs && epochEnded && (step / this.#steps.perEpoch) % epochs === 0) return true;
    if (steps && step % steps === 0) return true;
    return seconds !== undefined && performance.now() - this.#savedAt >= 1000 * seconds;
  }
}

/** A copy of everything that is the model's own. */
const weightsOf = ({ store }: Model): ReadonlyMap<string, Data> =>
  new Map(
    [...store.slots.values()]
      .filter(({ role }) => role !== "data" && role !== "moment")
      .map(({ name }) => [name, store.get(name)]),
  );
/** A schedule's number, which the step, its metrics and the checkpoint have to be able to hold. */
function finite(value: number, what: string, step: number): number {
  return checkNumber(`fit: step ${step}`, what, value) + 0; // not -0
}

function explain(error: unknown, firstStep: number): unknown {
  if (!(error instanceof RunError)) return error;
  const what = error.message.replace(/^\[run\] /, "");
  if (error.runStep < 0) return new BayesError(`[fit] ${what}`, { code: error.code, cause: error }); // it never began
  return new BayesError(`[fit] step ${firstStep + error.runStep}: ${what}; the parameters are those before this step`, {
    code: error.code,
    cause: error,
  });
}
