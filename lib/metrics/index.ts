// bayescnn/metrics: figures of predictions as arrays, whoever made them.

export { adaptiveEce, type BinOptions, ece, type ReliabilityBin, reliabilityBins } from "./calibration.ts";
export { accuracy, brier, type ClassificationMetrics, classificationMetrics, nll } from "./classification.ts";
export type { Floats, Labels } from "./input.ts";
export { aupr, auroc, fpr95, type RiskCoverageResult, riskCoverage, type Scores } from "./ood.ts";
export { psnr, type QualityOptions, ssim } from "./quality.ts";
export {
  type DecomposeResult,
  decompose,
  expectedEntropy,
  meanProbabilities,
  mutualInformation,
  normalizedSoftplusRows,
  predictiveEntropy,
  softmaxRows,
} from "./uncertainty.ts";
