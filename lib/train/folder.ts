import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { BayesError } from "../errors.ts";
import type { Model } from "../models/model.ts";
import { ensureDir } from "../util/atomic.ts";
import { type Checkpoint, inShort, loadCheckpoint, saveCheckpoint } from "./checkpoint.ts";
import { MetricsLog } from "./metrics.ts";
import type { TrainingState } from "./state.ts";

// temporary names of writeFileAtomic, cut at 40 characters
const HALF_WRITTEN = /^\.(checkpoint\.safetensors|best\.safetensors|metrics\.jsonl)\.\d+\.[0-9a-f]+\.tmp$/;

/** Where a run lives on disk: metrics.jsonl, checkpoint.safetensors, best.safetensors. */
export class RunFolder {
  readonly path: string;
  /** What to go on from, already compared with the run that is about to start. */
  readonly checkpoint: Checkpoint | undefined;
  #log: MetricsLog | undefined;
  #savedStep = -1;

  /**
   * Looks into the folder (making it if missing) but writes nothing yet.
   * @throws BayesError when it holds another run, or one that is not to be resumed
   */
  constructor(path: string, resume: boolean, settings: TrainingState["settings"]) {
    this.path = path;
    ensureDir(path);
    const file = join(path, "checkpoint.safetensors");
    if (!existsSync(file)) return;
    if (!resume)
      throw new BayesError(
        `[fit] expected a run folder without a checkpoint, or resume: true, received ${path} with one`,
        { code: "ERR_BAYES_FILE" },
      );
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

  /** What made the run whose checkpoint lies in a folder, if there is one. */
  static settings(path: string): TrainingState["settings"] | undefined {
    const file = join(path, "checkpoint.safetensors");
    return existsSync(file) ? loadCheckpoint(file).training?.settings : undefined;
  }

  /** Opens the metrics, without those of steps that the checkpoint does not know; clears away what a kill left behind. */
  open(step: number): void {
    for (const name of readdirSync(this.path))
      if (HALF_WRITTEN.test(name)) rmSync(join(this.path, name), { force: true });
    this.#log = new MetricsLog(join(this.path, "metrics.jsonl"), step);
  }

  write(lines: Parameters<MetricsLog["write"]>[0]): void {
    this.#log!.write(lines);
  }

  /** The checkpoint of this moment; the metrics up to it are on disk before it is. */
  save(model: Model, state: TrainingState): void {
    if (this.#savedStep === state.step) return;
    this.#log!.sync();
    saveCheckpoint(join(this.path, "checkpoint.safetensors"), model, state);
    this.#savedStep = state.step;
  }

  /** Where the model of the best validation is kept. */
  get best(): string {
    return join(this.path, "best.safetensors");
  }

  saveBest(model: Model): void {
    saveCheckpoint(this.best, model);
  }

  close(): void {
    this.#log?.close();
  }
}
