/** The shape of what checkpoints say about a training run: a file is believed only where it agrees. */
import { z } from "zod";
import type { EpochRecord, EpochSums, TrainingState } from "./state.ts";

const count = z.int().min(0);
const finite = z.number();
const plateauMemory = z.strictObject({ best: finite, waited: count, drops: count });

const epochRecord = z.strictObject({
  epoch: count,
  step: count,
  loss: finite,
  nll: finite,
  kl: finite.optional(),
  metrics: z.record(z.string(), finite),
  beta: finite.optional(),
  lr: finite,
  valid: z.record(z.string(), finite).optional(),
}) satisfies z.ZodType<EpochRecord>;

const epochSums = z.strictObject({
  steps: count,
  loss: finite,
  nll: finite,
  kl: finite,
  counts: z.record(z.string(), finite),
  seen: count,
}) satisfies z.ZodType<EpochSums>;

export const trainingState = z.strictObject({
  step: count,
  sums: epochSums,
  history: z.array(epochRecord),
  plateau: plateauMemory.optional(),
  epochs: count,
  best: z.strictObject({ value: finite, step: count, waited: count }).optional(),
  ended: z.boolean(),
  settings: z.record(z.string(), z.json()),
}) satisfies z.ZodType<TrainingState>;
