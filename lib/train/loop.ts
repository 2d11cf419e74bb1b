import { mixupWeight } from "../data/augment.ts";
import type { Dataset } from "../data/dataset.ts";
import { epochOrder } from "../data/order.ts";
import { BayesError, checkNumber, shorten, show } from "../errors.ts";
import { RunError } from "../graph/compile.ts";
import type { Turn } from "../graph/turns.ts";
import type { Model } from "../models/model.ts";
import type { Data } from "../native/addon.ts";
import { evaluate } from "../predict/predict.ts";
import { seedKey } from "../util/philox.ts";
import { DATA, loadCheckpoint, OPTIMIZER, restore } from "./checkpoint.ts";
import type { RunFolder } from "./folder.ts";
import type { FitData, Settings, StepRecord } from "./options.ts";
import { type EpochRecord, freshSums, type TrainingState } from "./state.ts";
import { COUNT, type StepProgram } from "./step.ts";

const CHUNK_MS = 100;

/** The likelihood's figures by name: for every step of a chunk the sum over its rows. */
type Counts = readonly (readonly [name: string, sums: Float32Array])[];

/** Steps of one epoch. */
export const stepsPerEpoch = (
  count: number,
  { batchSize, dropLast }: Pick<Settings, "batchSize" | "dropLast">,
): number => (dropLast ? Math.floor : Math.ceil)(count / batchSize);

/**
 * The training loop, one chunk of steps at a time. A chunk never reaches beyond a step after which something happens (the
 * end of an epoch, a checkpoint), so its length shows in nothing but time.
 */
export class Loop {
  /** Where training stands: all of it, apart from the store. Replaced, never changed. */
  state: TrainingState;
  readonly #model: Model;
  readonly #train: Dataset;
  readonly #valid: Dataset | undefined;
  readonly #s: Settings;
  readonly #programs: ReadonlyMap<number, StepProgram>;
  readonly #folder: RunFolder | undefined;
  readonly #owner: string;
  readonly #stepsPerEpoch: number;
  readonly #totalSteps: number;
  #chunk: number;
  #order: { readonly epoch: number; readonly indices: Int32Array } | undefined;
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
    this.#stepsPerEpoch = stepsPerEpoch(train.count, settings);
    this.#totalSteps = settings.epochs * this.#stepsPerEpoch;
    this.#chunk = settings.chunk ?? 1;
    this.state = state;
  }

  get over(): boolean {
    return this.state.ended || this.state.step >= this.#totalSteps;
  }

  /** Examples that remain to be seen, epochs counted whole. */
  get examplesLeft(): number {
    const { epochs, batchSize, dropLast } = this.#s;
    const { step } = this.state;
    const perEpoch = dropLast ? this.#stepsPerEpoch * batchSize : this.#train.count;
    const done = Math.floor(step / this.#stepsPerEpoch) * perEpoch + (step % this.#stepsPerEpoch) * batchSize;
    return epochs * perEpoch - done;
  }

  /** Runs a chunk and whatever comes after its last step: callbacks, validation, checkpoint. */
  async chunk(): Promise<StepRecord> {
    const records = await this.#turn(async (turn) => {
      const done = await this.#run(turn);
      this.#account(done.records, done.counts);
      for (const r of done.records) this.#s.callbacks?.onStep?.(r);
      return done.records;
    });
    const last = records[records.length - 1];
    const epochEnded = this.state.step % this.#stepsPerEpoch === 0;
    if (epochEnded) await this.#endEpoch(last);
    if (this.#checkpointDue(epochEnded)) await this.save();
    return last;
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

  #batchAt(step: number): number {
    const { batchSize } = this.#s;
    return Math.min(batchSize, this.#train.count - (step % this.#stepsPerEpoch) * batchSize);
  }

  async #run(turn: Turn): Promise<{ records: StepRecord[]; counts: Counts }> {
    const { batchSize, checkpoint, learningRate, samples, seed, beta: betaSchedule } = this.#s;
    const { step: first, plateau } = this.state;
    const stepsPerEpoch = this.#stepsPerEpoch;
    const totalSteps = this.#totalSteps;
    const [epoch, at] = [Math.floor(first / stepsPerEpoch), first % stepsPerEpoch];
    const size = this.#batchAt(first);
    const sameSize = size < batchSize ? 1 : Math.floor(this.#train.count / batchSize) - at;
    const untilSave = checkpoint.steps ? checkpoint.steps - (first % checkpoint.steps) : sameSize;
    const n = Math.min(this.#chunk, sameSize, untilSave);

    if (this.#order?.epoch !== epoch) this.#order = { epoch, indices: epochOrder(this.#train.count, seed, epoch) };
    const moments = Array.from({ length: n }, (_, i) => ({ step: first + i, stepsPerEpoch, totalSteps }));
    const lr = moments.map((m) => finite(learningRate.at(m, plateau), "the learning rate", m.step));
    const beta = moments.map((m) => finite(betaSchedule.at(m), "beta", m.step));
    const key = seedKey(seed);
    const index = this.#order.indices.subarray(at * batchSize, at * batchSize + n * size);
    const mixup = this.#s.augment?.mixup;
    const feeds = {
      index,
      epoch,
      rng: Int32Array.from(moments.flatMap(({ step }) => [...key, step, 0])),
      lr: Float32Array.from(lr),
      klWeight: Float32Array.from(beta, (b) => b / this.#train.count),
      count: Int32Array.from(moments, ({ step }) => step + 1),
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
    const records = moments.map(({ step }, i) => ({
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
      const size = this.#batchAt(r.step);
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

  async #endEpoch(last: StepRecord): Promise<void> {
    const valid = await this.#validate(last.epoch);
    const { sums, history } = this.state;
    const record: EpochRecord = {
      epoch: last.epoch,
      step: last.step,
      loss: sums.loss / sums.seen,
      nll: sums.nll / sums.seen,
      ...(this.#model.bayesian ? { kl: sums.kl / sums.steps, beta: last.beta } : {}),
      lr: last.lr,
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
  }

  async #validate(epoch: number): Promise<EpochRecord["valid"]> {
    const { evaluate, validateEvery, epochs, monitor, callbacks } = this.#s;
    const due = (epoch + 1) % validateEvery === 0 || epoch + 1 === epochs;
    const valid = this.#valid;
    if (!valid || !due) return undefined;
    const metrics: Record<string, number> = {
      ...(evaluate ? await this.#call(() => evaluate(this.#model, valid)) : await this.#evaluate(valid)),
    };
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
  async #evaluate(valid: Dataset): Promise<Record<string, number>> {
    const { validationSamples: samples, seed, precision } = this.#s;
    const { metrics } = await evaluate(this.#model, valid, { samples, seed, precision });
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
    if (epochs && epochEnded && (step / this.#stepsPerEpoch) % epochs === 0) return true;
    if (steps && step % steps === 0) return true;
    return seconds !== undefined && performance.now() - this.#savedAt >= 1000 * seconds;
  }
}

/** A copy of everything that is the model's own. */
const weightsOf = ({ store }: Model): ReadonlyMap<string, Data> =>
  new Map(
    [...store.slots.keys()]
      .filter((name) => !name.startsWith(DATA) && !name.startsWith(OPTIMIZER))
      .map((name) => [name, store.get(name)]),
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
