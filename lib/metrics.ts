// bayescnn/metrics: figures of predictions as arrays, whoever made them.
export { psnr, type QualityOptions, ssim } from "./pictures/quality.ts";
export { adaptiveEce, type BinOptions, ece, type ReliabilityBin, reliabilityBins } from "./predict/calibration.ts";
export type { Floats, Labels } from "./predict/input.ts";
export { accuracy, brier, type ClassificationMetrics, classificationMetrics, nll } from "./predict/metrics.ts";
export { aupr, auroc, fpr95, type RiskCoverageResult, riskCoverage, type Scores } from "./predict/ood.ts";
export {
  type DecomposeResult,
  decompose,
  expectedEntropy,
  meanProbabilities,
  mutualInformation,
  normalizedSoftplusRows,
  predictiveEntropy,
  softmaxRows,
} from "./predict/uncertainty.ts";
