// The public names, and nothing else. Stores, models and programs have [Symbol.dispose], a type that a user's "lib" may lack:
/// <reference lib="esnext.disposable" preserve="true" />

export {
  type BetaMoment,
  type BetaSchedule,
  blundellBeta,
  constantBeta,
  cosineBeta,
  parseBeta,
  warmUpBeta,
} from "./bayes/beta.ts";
export { type GaussianPriorOptions, gaussianPrior } from "./bayes/gaussianPrior.ts";
export {
  type AlphaPosteriorOptions,
  alphaPosterior,
  type Posterior,
  type RhoPosteriorOptions,
  referenceInit,
  rhoPosterior,
  type WeightDistribution,
} from "./bayes/posterior.ts";
export type { Moments, Prior } from "./bayes/prior.ts";
export { type ScaleMixturePriorOptions, scaleMixturePrior } from "./bayes/scaleMixturePrior.ts";
export type { BayesOptions, BayesSettings } from "./bayes/settings.ts";
export { absentClasses, alignClasses, classesOnly } from "./data/classes.ts";
export {
  type AnyClassDataset,
  type AnyDataset,
  type ClassDataset,
  type ClassExamples,
  type ClassParts,
  type Dataset,
  type Examples,
  hasClasses,
  type ImageShape,
  isStreamed,
  makeDataset,
  notesOf,
  type StreamedDataset,
  subset,
  type TargetParts,
  type TrainTest,
} from "./data/dataset.ts";
export type { BadImage } from "./data/decode.ts";
export type { Checksum } from "./data/download.ts";
export { loadImageFolder } from "./data/folder.ts";
export { type GetOptions, getData, type RemoteFile, type Source } from "./data/get.ts";
export { canonical, identity, overlap } from "./data/identity.ts";
export { type IdxArray, readIdx } from "./data/idx.ts";
export { type LoadedImages, loadImages, type ReadOptions, type StreamOptions } from "./data/images.ts";
export { loadImageFolders } from "./data/layouts.ts";
export { embeddedMnist, loadData } from "./data/locate.ts";
export {
  type Augmentation,
  type AugmentParams,
  augmentReference,
  type Normalization,
  type Preprocess,
} from "./data/prepare.ts";
export { inMemory, makeSource, normalizationOf, type PassOptions, type SourceParts } from "./data/source.ts";
export { type SplitSizes, split } from "./data/split.ts";
export { loadTable, type TableOptions } from "./data/table.ts";
export { classWeights } from "./data/weights.ts";
export { cpu, type Device, setThreads, threads } from "./device.ts";
export { BayesError } from "./errors.ts";
export { compile, type InputSpec, type Inputs, type PlanReport, Program, RunError } from "./graph/compile.ts";
export { grad } from "./graph/grad.ts";
export { type Executed, interpret } from "./graph/interpret.ts";
export {
  type Activation,
  type Attrs,
  constant,
  type DType,
  type Leaf,
  type Node,
  type Op,
  type Shape,
  type Tensor,
  type TensorType,
} from "./graph/node.ts";
export { type Slot, Store } from "./graph/store.ts";
export {
  type KlTerm,
  type LayerOptions,
  type Mode,
  type Noise,
  noiseFor,
  type Precision,
  parameter,
  type Trace,
  type TraceOptions,
  withTrace,
} from "./graph/trace.ts";
export type { Turn } from "./graph/turns.ts";
export { bayesConv2d, type ConvLayerOptions, conv2d } from "./layers/conv.ts";
export { bayesConvTranspose2d, type ConvTransposeLayerOptions, convTranspose2d } from "./layers/convTranspose.ts";
export { dropout } from "./layers/dropout.ts";
export { bayesLinear, linear } from "./layers/linear.ts";
export { type BatchNormLayerOptions, batchNorm2d } from "./layers/norm.ts";
export type { PointOptions } from "./layers/weights.ts";
export { type BernoulliOptions, type BernoulliPrediction, bernoulli } from "./likelihoods/bernoulli.ts";
export {
  type Categorical,
  type ClassAnswer,
  type ClassMetrics,
  ClassPrediction,
  categorical,
} from "./likelihoods/categorical.ts";
export { gaussian } from "./likelihoods/gaussian.ts";
export { likelihoodOf } from "./likelihoods/index.ts";
export { laplace } from "./likelihoods/laplace.ts";
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
} from "./likelihoods/likelihood.ts";
export type { NumberPrediction } from "./likelihoods/location.ts";
export { predictiveNll, totalVariance, tracedMoments } from "./likelihoods/moments.ts";
export { type NoiseScale, numberTargets, type RegressionOptions } from "./likelihoods/noise.ts";
export type {
  Appraisal,
  Block,
  ReportContext,
  Reporter,
  Section,
  ShownThreshold,
  Tile,
} from "./likelihoods/report/blocks.ts";
export { perRow, rowsLike } from "./likelihoods/rows.ts";
export {
  type ClassModelConfig,
  createModel,
  type LikelihoodModelConfig,
  type ModelConfig,
  modelNames,
} from "./models/create.ts";
export {
  type Applied,
  type ApplyOptions,
  type Knowledge,
  Model,
  type ModelOptions,
  type Threshold,
} from "./models/model.ts";
export { type OpenOptions, openModel, saveModel } from "./models/open.ts";
export type { Data } from "./native/addon.ts";
export { type ExportMode, type ExportOptions, exportModes, exportOnnx } from "./onnx/export.ts";
export { readMetadata } from "./onnx/metadata.ts";
export { type Verified, type VerifyOptions, verifyOnnx } from "./onnx/verify.ts";
export { avgPool2d } from "./ops/avgPool2d.ts";
export type { BayesWeights, ConvOptions, ConvTransposeOptions } from "./ops/conv.ts";
export { flatten } from "./ops/flatten.ts";
export type { GaussianPriorArgs } from "./ops/gaussianPrior.ts";
export { globalAvgPool2d } from "./ops/globalAvgPool2d.ts";
export * as ops from "./ops/index.ts";
export { leakyRelu } from "./ops/leakyRelu.ts";
export { maxPool2d } from "./ops/maxPool2d.ts";
export { pixelShuffle } from "./ops/pixelShuffle.ts";
export { relu } from "./ops/relu.ts";
export { softplus } from "./ops/softplus.ts";
export type { Padding, Pair, WindowOptions } from "./ops/window.ts";
export { adaptiveEce, type BinOptions, ece, type ReliabilityBin, reliabilityBins } from "./predict/calibration.ts";
export type { Floats, Labels } from "./predict/input.ts";
export { accuracy, brier, type ClassificationMetrics, classificationMetrics, nll } from "./predict/metrics.ts";
export { aupr, auroc, fpr95, type RiskCoverage, riskCoverage, type Scores } from "./predict/ood.ts";
export { type EvaluateResult, evaluate, type Images, type PredictOptions, predict } from "./predict/predict.ts";
export { Predictor, type PredictorOptions } from "./predict/predictor.ts";
export { chooseThreshold, type SelectiveResult, type ThresholdOptions } from "./predict/threshold.ts";
export {
  type Decomposition,
  decompose,
  expectedEntropy,
  meanProbabilities,
  mutualInformation,
  normalizedSoftplusRows,
  predictiveEntropy,
  softmaxRows,
} from "./predict/uncertainty.ts";
export { l1Penalty } from "./prune/l1.ts";
export {
  type LayerSparsity,
  type PruneOptions,
  type PruneReport,
  prune,
  type Sparsity,
  sparsity,
} from "./prune/prune.ts";
export { type PruneExperiment, type PruneExperimentOptions, pruneExperiment } from "./prune/report.ts";
export type { ScoreName } from "./prune/scores.ts";
export { cubicSchedule, type Selection } from "./prune/select.ts";
export type {
  ComparisonRow,
  HistoryPoint,
  PruningRow,
  Quality,
  ReportData,
  ReportImages,
  ReportOod,
  ReportSetup,
  ReportTest,
} from "./report/data.ts";
export { buildReport } from "./report/html.ts";
export { type ReportSummary, reportJson } from "./report/summary.ts";
export type { Verdict } from "./report/verdict.ts";
export { type Checkpoint, loadCheckpoint, restore, saveCheckpoint } from "./train/checkpoint.ts";
export {
  type Callbacks,
  type EpochRecord,
  type FitData,
  type FitOptions,
  type FitResult,
  fit,
  type Monitor,
  type StepRecord,
} from "./train/fit.ts";
export { type AdamOptions, adam, adamw, type Optimizer, type SgdOptions, sgd } from "./train/optimizers.ts";
export { readSafetensors, type SafeTensor, type SafeTensors, writeSafetensors } from "./train/safetensors.ts";
export {
  constantRate,
  cosineRate,
  type LearningRate,
  type PlateauMemory,
  type PlateauOptions,
  parseRate,
  plateauRate,
  stepRate,
  warmUpRate,
} from "./train/schedules.ts";
export type { TrainingState } from "./train/state.ts";
