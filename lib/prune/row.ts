import type { Quality } from "../likelihoods/shared/likelihood.ts";

/** What pruning did, for the table of a report. */
export interface PruningRow {
  /** how the weights were chosen, such as "signal to noise, global" */
  name?: string;
  /** share of weights removed */
  sparsity: number;
  /** weights that remain */
  parameters?: number;
  before?: Quality;
  after?: Quality;
  fineTuned?: Quality;
}
