/** Means over one epoch, and its validation. */
export interface EpochRecord {
  /** From 0. */
  readonly epoch: number;
  /** Number of the epoch's last step, from 0. */
  readonly step: number;
  /** Objective per example: nll + beta / N * kl + penalties, in nats. */
  readonly loss: number;
  /** Negative log-likelihood per example, in nats. */
  readonly nll: number;
  /** KL(posterior || prior) in nats, all weights together; absent in a model without. */
  readonly kl?: number;
  /** The likelihood's figures of the training predictions, one prediction per Monte-Carlo sample: accuracy, … */
  readonly metrics: Readonly<Record<string, number>>;
  readonly beta?: number;
  readonly lr: number;
  /** What the evaluation of the validation set said, when there was one. */
  readonly valid?: Readonly<Record<string, number>>;
}

/** Sums over the steps of the epoch under way. */
export interface EpochSums {
  readonly steps: number;
  readonly loss: number;
  readonly nll: number;
  readonly kl: number;
  /** Sums over the rows of each of the likelihood's figures. */
  readonly counts: Readonly<Record<string, number>>;
  readonly seen: number;
}

/** What JSON can hold. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json };

/** Everything a run needs besides the store in order to go on as if it had never stopped. Plain JSON. */
export interface TrainingState {
  /** Steps done. */
  readonly step: number;
  readonly sums: EpochSums;
  readonly history: readonly EpochRecord[];
  readonly plateau?: PlateauMemory;
  /** For how many epochs the run was planned when this was saved. */
  readonly epochs: number;
  /** Best validation of the monitored figure, and validations since. */
  readonly best?: { readonly value: number; readonly step: number; readonly waited: number };
  /** Whether early stopping has ended the run. */
  readonly ended: boolean;
  /** What made the run, compared on resuming: another value would not be the same run. */
  readonly settings: Readonly<Record<string, Json>>;
}

export const freshState = (settings: TrainingState["settings"], epochs: number): TrainingState => ({
  step: 0,
  epochs,
  sums: freshSums(),
  history: [],
  ended: false,
  settings,
});
export const freshSums = (): EpochSums => ({ steps: 0, loss: 0, nll: 0, kl: 0, counts: {}, seen: 0 });

/** What `plateauRate` remembers between validations: plain numbers, saved in checkpoints. */
export interface PlateauMemory {
  /** The best value seen so far (lower is better). */
  readonly best: number;
  /** Validations since then. */
  readonly waited: number;
  /** How often the rate has been lowered. */
  readonly drops: number;
}
