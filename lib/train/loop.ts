import type { Dataset } from "../data/dataset.ts";
import { epochOrder } from "../data/order.ts";
import { BayesError, checkNumber, shorten, show } from "../errors.ts";
import { RunError } from "../graph/compile.ts";
import type { Model } from "../models/model.ts";
import { seedKey } from "../util/philox.ts";
import type { RunFolder } from "./folder.ts";
import { type FitData, lowerIsBetter, type Settings, type StepRecord } from "./options.ts";
import { type EpochRecord, freshSums, type TrainingState } from "./state.ts";
import type { StepProgram } from "./step.ts";

const CHUNK_MS = 100;

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
  readonly #stepsPerEpoch: number;
  readonly #totalSteps: number;
  #chunk: number;
  #order: { readonly epoch: number; readonly indices: Int32Array } | undefined;
  #savedAt = performance.now();
  #epochAt = performance.now();

  constructor(
    model: Model,
    { train, valid }: FitData,
    settings: Settings,
    programs: ReadonlyMap<number, StepProgram>,
    folder: RunFolder | undefined,
    state: TrainingState,
  ) {
    this.#model = model;
    this.#train = train;
    this.#valid = valid;
    this.#s = settings;
    this.#programs = programs;
    this.#folder = folder;
    this.#stepsPerEpoch = Math.ceil(train.count / settings.batchSize);
    this.#totalSteps = settings.epochs * this.#stepsPerEpoch;
    this.#chunk = settings.chunk ?? 1;
    this.state = state;
  }

  get over(): boolean {
    return this.state.ended || this.state.step >= this.#totalSteps;
  }

  /** Examples that remain to be seen, epochs counted whole. */
  get examplesLeft(): number {
    const { epochs, batchSize } = this.#s;
    const { step } = this.state;
    const done = Math.floor(step / this.#stepsPerEpoch) * this.#train.count + (step % this.#stepsPerEpoch) * batchSize;
    return epochs * this.#train.count - done;
  }

  /** Runs a chunk and whatever comes after its last step: callbacks, validation, checkpoint. */
  async chunk(): Promise<StepRecord> {
    const { records, right } = await this.#run();
    this.#account(records, right);
    for (const r of records) this.#s.callbacks?.onStep?.(r);
    const last = records[records.length - 1];
    const epochEnded = this.state.step % this.#stepsPerEpoch === 0;
    if (epochEnded) await this.#endEpoch(last);
    if (this.#checkpointDue(epochEnded)) this.save();
    return last;
  }

  save(): void {
    this.#folder?.save(this.#model, this.state);
    this.#savedAt = performance.now();
  }

  #batchAt(step: number): number {
    const { batchSize } = this.#s;
    return Math.min(batchSize, this.#train.count - (step % this.#stepsPerEpoch) * batchSize);
  }

  async #run(): Promise<{ records: StepRecord[]; right: Float32Array }> {
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
    const feeds = {
      index: this.#order.indices.subarray(at * batchSize, at * batchSize + n * size),
      epoch,
      rng: Int32Array.from(moments.flatMap(({ step }) => [...key, step, 0])),
      lr: Float32Array.from(lr),
      klWeight: Float32Array.from(beta, (b) => b / this.#train.count),
      count: Int32Array.from(moments, ({ step }) => step + 1),
    };
    const started = performance.now();
    const out = await this.#programs
      .get(size)!
      .runAsync(feeds, n)
      .catch((error: unknown) => {
        throw explain(error, first);
      });
    if (this.#s.chunk === undefined) {
      const perStep = (performance.now() - started) / n;
      this.#chunk = Math.max(1, Math.min(2 * this.#chunk, Math.round(CHUNK_MS / perStep)));
    }
    const records = moments.map(({ step }, i) => ({
      step,
      epoch,
      loss: out.loss[i],
      nll: out.nll[i],
      ...(this.#model.bayesian ? { kl: out.kl[i], beta: beta[i] } : {}),
      lr: lr[i],
      accuracy: out.right[i] / (size * samples),
    }));
    return { records, right: out.right };
  }

  #account(records: readonly StepRecord[], right: Float32Array): void {
    const sums = { ...this.state.sums };
    for (const [i, r] of records.entries()) {
      const size = this.#batchAt(r.step);
      sums.steps++;
      sums.seen += size;
      sums.loss += r.loss * size;
      sums.nll += r.nll * size;
      sums.kl += r.kl ?? 0;
      sums.right += right[i];
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
      accuracy: sums.right / (sums.seen * this.#s.samples),
      ...(valid ? { valid } : {}),
    };
    this.state = { ...this.state, sums: freshSums(), history: [...history, record] };
    const seconds = (performance.now() - this.#epochAt) / 1000;
    const wall = { seconds, examplesPerSecond: this.#train.count / seconds };
    this.#folder?.write([{ event: "epoch", ...record, wall }]);
    this.#epochAt = performance.now();
    await this.#s.callbacks?.onEpoch?.(record);
  }

  async #validate(epoch: number): Promise<EpochRecord["valid"]> {
    const { evaluate, validateEvery, epochs, monitor, callbacks } = this.#s;
    const due = (epoch + 1) % validateEvery === 0 || epoch + 1 === epochs;
    if (!this.#valid || !evaluate || !due) return undefined;
    const metrics: Record<string, number> = { ...(await evaluate(this.#model, this.#valid)) };
    const { step } = this.state;
    for (const [name, value] of Object.entries(metrics))
      if (!Number.isFinite(value))
        throw new BayesError(
          `[fit] expected evaluate to give finite numbers, received ${shorten(name, 60)} ${show(value)} after step ${step}`,
        );
      else metrics[name] = value + 0; // not -0: nothing may change on its way through JSON
    if (metrics[monitor] === undefined)
      throw new BayesError(
        `[fit] expected evaluate to give the monitored figure ${show(monitor)}, received ${shorten(Object.keys(metrics).join(", "))}`,
      );
    this.#judge(lowerIsBetter(monitor) ? metrics[monitor] : 0 - metrics[monitor]); // JSON knows no -0
    await callbacks?.onValidate?.(metrics, { step, epoch });
    return metrics;
  }

  /** Early stopping, the best checkpoint and the plateau schedule; lower is better. */
  #judge(value: number): void {
    const { earlyStopping, learningRate, bestCheckpoint = true } = this.#s;
    const { best, step, plateau } = this.state;
    const better = !best || value < best.value - (earlyStopping?.margin ?? 0);
    const now = better ? { value, step, waited: 0 } : { ...best, waited: best.waited + 1 };
    this.state = {
      ...this.state,
      best: now,
      ended: earlyStopping !== undefined && now.waited >= earlyStopping.patience,
      plateau: learningRate.learn?.(plateau, value),
    };
    if (better && bestCheckpoint) this.#folder?.saveBest(this.#model);
  }

  #checkpointDue(epochEnded: boolean): boolean {
    const { epochs, steps, seconds } = this.#s.checkpoint;
    const { step } = this.state;
    if (epochs && epochEnded && (step / this.#stepsPerEpoch) % epochs === 0) return true;
    if (steps && step % steps === 0) return true;
    return seconds !== undefined && performance.now() - this.#savedAt >= 1000 * seconds;
  }
}

/** A schedule's number, which the step, its metrics and the checkpoint have to be able to hold. */
function finite(value: number, what: string, step: number): number {
  return checkNumber(`fit: step ${step}`, what, value) + 0; // not -0
}

function explain(error: unknown, firstStep: number): unknown {
  if (!(error instanceof RunError)) return error;
  const what = error.message.replace(/^\[run\] /, "");
  if (error.runStep < 0) return new BayesError(`[fit] ${what}`, { cause: error }); // it never began
  return new BayesError(`[fit] step ${firstStep + error.runStep}: ${what}; the parameters are those before this step`, {
    cause: error,
  });
}
