import { z } from "zod";

const count = z.int().min(0);
const finite = z.number();
const plateauMemory = z.strictObject({ best: finite, waited: count, drops: count });

/** Means over one epoch, and its validation. */
const epochRecord = z.strictObject({
  /** From 0. */
  epoch: count,
  /** Number of the epoch's last step, from 0. */
  step: count,
  /** Objective per example: nll + beta / N * kl + penalties, in nats. */
  loss: finite,
  /** Negative log-likelihood per example, in nats. */
  nll: finite,
  /** KL(posterior || prior) in nats, all weights together; absent in a model without. */
  kl: finite.optional(),
  /** Share of training predictions (one per Monte-Carlo sample) that were right. */
  accuracy: finite,
  beta: finite.optional(),
  lr: finite,
  /** What the evaluation of the validation set said, when there was one. */
  valid: z.record(z.string(), finite).optional(),
});
export type EpochRecord = z.infer<typeof epochRecord>;

/** Sums over the steps of the epoch under way. */
const epochSums = z.strictObject({
  steps: count,
  /** Of the examples seen. */
  loss: finite,
  nll: finite,
  /** Of the steps. */
  kl: finite,
  /** Predictions that were right, of one per example and Monte-Carlo sample. */
  right: count,
  /** Examples. */
  seen: count,
});
export type EpochSums = z.infer<typeof epochSums>;

/** Everything a run needs besides the store in order to go on as if it had never stopped. Plain JSON. */
export const trainingState = z.strictObject({
  /** Steps done. */
  step: count,
  sums: epochSums,
  history: z.array(epochRecord),
  plateau: plateauMemory.optional(),
  /** Best validation of the monitored figure, and validations since. */
  best: z.strictObject({ value: finite, step: count, waited: count }).optional(),
  /** Whether early stopping has ended the run. */
  ended: z.boolean(),
  /** What made the run, compared on resuming: another value would not be the same run. */
  settings: z.record(z.string(), z.json()),
});
export type TrainingState = z.infer<typeof trainingState>;

export const freshState = (settings: TrainingState["settings"]): TrainingState => ({
  step: 0,
  sums: freshSums(),
  history: [],
  ended: false,
  settings,
});
export const freshSums = (): EpochSums => ({ steps: 0, loss: 0, nll: 0, kl: 0, right: 0, seen: 0 });
