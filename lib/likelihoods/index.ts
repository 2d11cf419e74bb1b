// bayescnn/likelihoods: what a likelihood is, and tools for one's own. Those of the library are in the root.
export { likelihoodOf } from "./known.ts";
export type {
  Answer,
  Better,
  Figure,
  Likelihood,
  LikelihoodConfig,
  MetricsOf,
  Prediction,
  PredictionOf,
  Targets,
} from "./shared/likelihood.ts";
export { type Moments, predictiveNll, totalVariance, tracedMoments } from "./shared/moments.ts";
export { numberTargets } from "./shared/noise.ts";
export { perRow, rowsLike } from "./shared/rows.ts";
