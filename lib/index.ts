// The public names, and nothing else.

export { type BetaSchedule, blundellBeta, constantBeta, cosineBeta, parseBeta, warmUpBeta } from "./bayes/beta.ts";
export { type GaussianPriorOptions, gaussianPrior } from "./bayes/gaussianPrior.ts";
export { alphaPosterior, type Posterior, referenceInit, rhoPosterior } from "./bayes/posterior.ts";
export type { Prior } from "./bayes/prior.ts";
export { scaleMixturePrior } from "./bayes/scaleMixturePrior.ts";
export type { BayesOptions, BayesSettings } from "./bayes/settings.ts";
export { type Dataset, fromArrays, makeDataset, split, subset, type TrainTest } from "./data/dataset.ts";
export { loadImageFolder } from "./data/folder.ts";
export { type GetOptions, getData } from "./data/get.ts";
export { readIdx } from "./data/idx.ts";
export { embeddedMnist, loadData } from "./data/locate.ts";
export { type Augmentation, augmentReference, type Normalisation, normalisationOf } from "./data/prepare.ts";
export { cpu, type Device, setThreads, threads } from "./device.ts";
export { BayesError } from "./errors.ts";
export { compile, type InputSpec, type Inputs, type PlanReport, Program, RunError } from "./graph/compile.ts";
export { grad } from "./graph/grad.ts";
export { type Executed, interpret } from "./graph/interpret.ts";
export { constant, type DType, type Shape, type Tensor } from "./graph/node.ts";
export { type Slot, Store } from "./graph/store.ts";
export { parameter } from "./graph/trace.ts";
export { bayesConv2d, conv2d } from "./layers/conv.ts";
export { bayesConvTranspose2d, convTranspose2d } from "./layers/convTranspose.ts";
export { dropout } from "./layers/dropout.ts";
export { bayesLinear, linear } from "./layers/linear.ts";
export { batchNorm2d } from "./layers/norm.ts";
export { createModel, type ModelConfig, modelNames } from "./models/create.ts";
export { Model, type ModelOptions } from "./models/model.ts";
export { type ExportMode, type ExportOptions, exportOnnx } from "./onnx/export.ts";
export { type Verified, verifyOnnx } from "./onnx/verify.ts";
export { avgPool2d } from "./ops/avgPool2d.ts";
export { flatten } from "./ops/flatten.ts";
export { globalAvgPool2d } from "./ops/globalAvgPool2d.ts";
export * as ops from "./ops/index.ts";
export { leakyRelu } from "./ops/leakyRelu.ts";
export { maxPool2d } from "./ops/maxPool2d.ts";
export { pixelShuffle } from "./ops/pixelShuffle.ts";
export { relu } from "./ops/relu.ts";
export { softplus } from "./ops/softplus.ts";
export { adaptiveEce, ece, reliabilityBins } from "./predict/calibration.ts";
export { accuracy, brier, classificationMetrics, nll } from "./predict/metrics.ts";
export { aupr, auroc, fpr95, riskCoverage } from "./predict/ood.ts";
export {
  type Evaluation,
  evaluate,
  type Prediction,
  type PredictOptions,
  predict,
  type Uncertainty,
  uncertainty,
} from "./predict/predict.ts";
export { decompose, normalisedSoftplusRows, softmaxRows } from "./predict/uncertainty.ts";
export { l1Penalty } from "./prune/l1.ts";
export { type PruneOptions, type PruneReport, prune, sparsity } from "./prune/prune.ts";
export { type PruneExperiment, pruneExperiment } from "./prune/report.ts";
export { cubicSchedule } from "./prune/select.ts";
export type { ReportData } from "./report/data.ts";
export { buildReport } from "./report/html.ts";
export { reportJson } from "./report/summary.ts";
export { type Checkpoint, loadCheckpoint, restore, saveCheckpoint } from "./train/checkpoint.ts";
export { type FitOptions, type FitResult, fit } from "./train/fit.ts";
export { adam, adamw, type Optimizer, sgd } from "./train/optimizers.ts";
export { readSafetensors, type SafeTensor, writeSafetensors } from "./train/safetensors.ts";
export { constantRate, cosineRate, type LearningRate, plateauRate, stepRate, warmUpRate } from "./train/schedules.ts";
