/** The experiments, by name. A new one is a file beside this one, and a line here. */
import { classification } from "./classification.ts";
import { gan } from "./gan.ts";
import { posterior } from "./posterior.ts";
import { pruning } from "./pruning.ts";
import type { Experiment } from "./shared/experiment.ts";
import { smallData } from "./smallData.ts";
import { superResolution } from "./superResolution.ts";
import { transfer } from "./transfer.ts";
import { uncertainty } from "./uncertainty.ts";

export const experiments: readonly Experiment[] = [
  classification,
  uncertainty,
  pruning,
  superResolution,
  gan,
  posterior,
  smallData,
  transfer,
];
