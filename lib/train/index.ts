// bayescnn/train: optimizers, schedules, penalties and checkpoints, for `fit` and for steps of one's own.
export {
  type BetaMoment,
  type BetaSchedule,
  blundellBeta,
  constantBeta,
  cosineBeta,
  parseBeta,
  warmUpBeta,
} from "../bayes/beta.ts";
export { type Checkpoint, loadCheckpoint, restore, saveCheckpoint } from "../checkpoints/checkpoint.ts";
export { readSafetensors, type SafeTensor, type SafeTensors, writeSafetensors } from "../checkpoints/safetensors.ts";
export type { EpochSums, Json, PlateauMemory, TrainingState } from "../checkpoints/state.ts";
export { l1Penalty } from "./l1.ts";
export { type AdamOptions, adam, adamw, type Optimizer, type SgdOptions, sgd } from "./optimizers.ts";
export { type Recipe, recipeFor, type SaidOfRecipe } from "./recipe.ts";
export {
  constantRate,
  cosineRate,
  type LearningRate,
  type PlateauOptions,
  parseRate,
  plateauRate,
  stepRate,
  warmUpRate,
} from "./schedules.ts";
