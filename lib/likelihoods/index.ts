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
} from "./likelihood.ts";
export { type Moments, predictiveNll, totalVariance, tracedMoments } from "./moments.ts";
export { numberTargets } from "./noise.ts";
export { perRow, rowsLike } from "./rows.ts";
