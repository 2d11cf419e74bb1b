import { readdirSync, rmSync, type Stats, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Checkpoint, inShort, loadCheckpoint, peekCheckpoint, saveCheckpoint } from "../checkpoints/checkpoint.ts";
import type { TrainingState } from "../checkpoints/state.ts";
import type { Model } from "../models/model.ts";
import { fileError } from "../util/atomic.ts";
import { BayesError } from "../util/errors.ts";
import { kindOf } from "../util/regular.ts";
import type { HeldLock } from "./lock.ts";
import { MetricsLog } from "./metrics.ts";

// Temporary names of writeFileAtomic. Whoever holds the folder's lock knows that nobody is writing them.
const HALF_WRITTEN = /^\.(checkpoint\.safetensors|best\.safetensors|metrics\.jsonl)\.\d+\.[0-9a-f]+\.tmp$/;

/** Where a run lives on disk: metrics.jsonl, checkpoint.safetensors, best.safetensors. */
export class RunFolder {
  readonly path: string;
  /** What to go on from, already compared with the run that is about to start. */
  readonly checkpoint: Checkpoint | undefined;
  readonly #lock: HeldLock;
  /** The folder, also when the program has gone to another one meanwhile. */
  readonly #place: string;
  #log: MetricsLog | undefined;
  #savedStep = -1;

  /**
   * Looks into the locked folder but writes nothing yet.
   * @throws BayesError when it holds another run, or one that is not to be resumed
   */
  constructor(lock: HeldLock, resume: boolean, settings: TrainingState["settings"]) {
    this.#lock = lock;
    this.path = lock.path;
    this.#place = resolve(lock.path);
    if (!resume) RunFolder.checkFresh(lock.path);
    const file = join(this.path, "checkpoint.safetensors");
    isThere(join(this.path, "best.safetensors"));
    if (!isThere(file)) return;
    this.checkpoint = loadCheckpoint(file);
    const theirs = this.checkpoint.training?.settings;
    if (!theirs)
      throw new BayesError(`[${file}] expected a checkpoint of a training run, received a model's alone`, {
        code: "ERR_BAYES_FILE",
      });
    for (const key of new Set([...Object.keys(settings), ...Object.keys(theirs)]))
      if (!isDeepStrictEqual(settings[key], theirs[key]))
        throw new BayesError(
          `[${file}] expected a run with ${key} ${inShort(settings[key])}, received ${inShort(theirs[key])}`,
          { code: "ERR_BAYES_FILE" },
        );
  }

  /** Throws a BayesError when a folder holds a run already. */
  static checkFresh(path: string): void {
    if (isThere(join(path, "checkpoint.safetensors")))
      throw new BayesError(
        `[fit] expected a run folder without a checkpoint, or resume: true, received ${path} with one`,
        { code: "ERR_BAYES_FILE" },
      );
  }

  /** What made the run whose checkpoint lies in a folder, if there is one. */
  static settings(path: string): TrainingState["settings"] | undefined {
    const file = join(path, "checkpoint.safetensors");
    return isThere(file) ? peekCheckpoint(file).training?.settings : undefined;
  }

  /**
   * Opens the metrics, without those of steps that the checkpoint does not know; clears away what a kill left behind.
   * @param onDamage called with a sentence when lines of the metrics are damaged
   */
  open(step: number, onDamage?: (sentence: string) => unknown): void {
    this.#lock.check();
    for (const name of readdirSync(this.#place))
      if (HALF_WRITTEN.test(name)) rmSync(join(this.#place, name), { force: true });
    this.#log = new MetricsLog(join(this.#place, "metrics.jsonl"), step, onDamage);
  }

  write(lines: Parameters<MetricsLog["write"]>[0]): void {
    this.#lock.check();
    this.#log!.write(lines);
  }

  /** The checkpoint of this moment; the metrics up to it are on disk before it is. */
  save(model: Model, state: TrainingState): void {
    if (this.#savedStep === state.step) return;
    this.#lock.check();
    this.#log!.sync();
    saveCheckpoint(join(this.#place, "checkpoint.safetensors"), model, state);
    this.#savedStep = state.step;
  }

  /** Where the model of the best validation is kept. @throws BayesError where the folder is not the run's any more */
  get best(): string {
    this.#lock.check();
    return join(this.#place, "best.safetensors");
  }

  saveBest(model: Model): void {
    saveCheckpoint(this.best, model);
  }

  close(): void {
    this.#log?.close();
  }
}

/** Whether a file of a run is there. @throws BayesError where something else has its name: a run writes files, not devices */
function isThere(path: string): boolean {
  let stat: Stats | undefined;
  try {
    stat = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    throw fileError(error, "read", path);
  }
  if (stat && !stat.isFile())
    throw new BayesError(`[run folder] expected a file, received ${path}, which is ${kindOf(stat)}`, {
      code: "ERR_BAYES_FILE",
    });
  return stat !== undefined;
}
