/** How fast models run beside each other. */
import type { Model } from "../models/model.ts";
import { adam } from "../train/optimizers.ts";
import { forwardProgram, stepProgram } from "./made.ts";

/** Milliseconds of processor time, of all threads together, the median of several runs. */
export interface Speed {
  /** One pass of Monte-Carlo prediction (of plain weights: the prediction) over the batch. */
  readonly inference: number;
  /** One training step on the batch, with Adam. */
  readonly step: number;
}

/**
 * The time that models of these functions take, in one process and in turns. It is processor time, of which other work on the
 * machine takes none. What is timed are new models of the same widths: the ones given stay as they are.
 */
export function speedsOf(models: readonly Model[], { batch = 128, repeats = 41 } = {}): Speed[] {
  const twins = models.map((model) => model.resized({}));
  try {
    const forward = twins.map((model) => forwardProgram(model, batch, 1));
    const inference = medians(forward, repeats);
    for (const made of forward) made[Symbol.dispose]();
    const steps = twins.map((model) => stepProgram(model, batch, adam()));
    const step = medians(steps, repeats);
    for (const made of steps) made[Symbol.dispose]();
    return models.map((_, i) => ({ inference: inference[i], step: step[i] }));
  } finally {
    for (const model of twins) model.close();
  }
}

function medians(programs: readonly { run(): void }[], repeats: number): number[] {
  const times = programs.map((): number[] => []);
  for (let r = 0; r <= repeats; r++)
    for (const [i, made] of programs.entries()) {
      const start = process.cpuUsage();
      made.run();
      const { user, system } = process.cpuUsage(start);
      if (r > 0) times[i].push((user + system) / 1000); // the first warms up
    }
  return times.map((t) => t.sort((a, b) => a - b)[t.length >> 1]);
}
