// bayescnn: what every program needs. The rest is in the subpaths, one for each room; no public name is anywhere else.

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
export type { Prior, PriorMoments } from "./bayes/prior.ts";
export { type ScaleMixturePriorOptions, scaleMixturePrior } from "./bayes/scaleMixturePrior.ts";
export type { BayesOptions, BayesSettings } from "./bayes/settings.ts";
export { type OpenOptions, openModel, saveModel } from "./checkpoints/open.ts";
export {
  type AnyClassDataset,
  type AnyDataset,
  type Augmentation,
  type BlobLike,
  type ClassDataset,
  classWeights,
  type Dataset,
  embeddedMnist,
  getData,
  type ImageInput,
  type ImageShape,
  inMemory,
  isStreamed,
  type LoadedImages,
  loadData,
  loadImageFolder,
  loadImageFolders,
  loadImages,
  loadTable,
  makeDataset,
  makeSource,
  type Normalization,
  normalizationOf,
  type Pixels,
  type Preprocess,
  type RawImage,
  type ReadOptions,
  type SourceOptions,
  type SourceParts,
  type SplitSizes,
  type StreamedDataset,
  type StreamOptions,
  split,
  subset,
  type TableOptions,
  type TrainTest,
} from "./data/index.ts";
export type { Mode, Precision, Shape, Tensor } from "./graph.ts";
export { type ImportOptions, importWeights } from "./import/weights.ts";
export {
  bayesConv2d,
  bayesConvTranspose2d,
  type ConvLayerOptions,
  type ConvTransposeLayerOptions,
  conv2d,
  convTranspose2d,
} from "./layers/conv.ts";
export { type DropoutLayerOptions, dropout } from "./layers/dropout.ts";
export { type FilterResponseNormOptions, filterResponseNorm2d } from "./layers/filterResponseNorm.ts";
export { bayesLinear, linear } from "./layers/linear.ts";
export { type BatchNormLayerOptions, batchNorm2d } from "./layers/norm.ts";
export type { LayerOptions } from "./layers/scope.ts";
export type { PointOptions } from "./layers/weights.ts";
export { type BernoulliOptions, bernoulli } from "./likelihoods/bernoulli.ts";
export { type Categorical, type ClassAnswer, type ClassMetrics, categorical } from "./likelihoods/categorical.ts";
export { gaussian } from "./likelihoods/gaussian.ts";
export type { Likelihood, MetricsOf, Prediction, PredictionOf, Targets } from "./likelihoods/index.ts";
export { laplace } from "./likelihoods/laplace.ts";
export type { Threshold } from "./likelihoods/shared/likelihood.ts";
export type { NoiseScale, RegressionOptions } from "./likelihoods/shared/noise.ts";
export type { BernoulliPrediction, ClassPrediction, NumberPrediction } from "./likelihoods/shared/predictions.ts";
export { type ToBayesianOptions, toBayesian, toFrequentist } from "./models/convert.ts";
export {
  type ArchitectureConfig,
  type ClassModelConfig,
  createModel,
  type LikelihoodModelConfig,
  type ModelConfig,
  modelNames,
  type PosteriorConfig,
  type PriorConfig,
} from "./models/create.ts";
export {
  type ApplyOptions,
  type ApplyResult,
  type Knowledge,
  type LayerChoice,
  Model,
  type ModelOptions,
} from "./models/model.ts";
export { exportPosterior, posteriorOf, type WeightPosterior } from "./models/posterior.ts";
export { type Device, type DeviceName, setThreads, threads } from "./native/device.ts";
export { type ExportMode, type ExportOptions, exportOnnx } from "./onnx/index.ts";
export { add } from "./ops/add.ts";
export { avgPool2d } from "./ops/avgPool2d.ts";
export { concat } from "./ops/concat.ts";
export { flatten } from "./ops/flatten.ts";
export { globalAvgPool2d } from "./ops/globalAvgPool2d.ts";
export { leakyRelu } from "./ops/leakyRelu.ts";
export { maxPool2d } from "./ops/maxPool2d.ts";
export { pixelShuffle } from "./ops/pixelShuffle.ts";
export { relu } from "./ops/relu.ts";
export type { ConvOptions, ConvTransposeOptions } from "./ops/shared/conv.ts";
export type { Padding, Pair, WindowOptions } from "./ops/shared/window.ts";
export { sigmoid } from "./ops/sigmoid.ts";
export { softmax } from "./ops/softmax.ts";
export { softplus } from "./ops/softplus.ts";
export { tanh } from "./ops/tanh.ts";
export { type SuperResolutionOptions, superResolutionModel } from "./pictures/model.ts";
export { type PatchOptions, picturePatches } from "./pictures/patches.ts";
export { type SuperResolved, superResolve } from "./pictures/picture.ts";
export { type LumaPicture, loadLuma, readPicture } from "./pictures/read.ts";
export type { UpscaleOptions } from "./pictures/superResolve.ts";
export {
  type ConformalIntervals,
  type ConformalOptions,
  type ConformalResult,
  type ConformalSets,
  conformal,
} from "./predict/conformal.ts";
export type { CallOptions } from "./predict/engine.ts";
export {
  type AnswerOf,
  type AskOptions,
  type Judged,
  type OpenedRun,
  type OpenRunOptions,
  openRun,
  type Unanswered,
} from "./predict/open-run.ts";
export { type EvaluateResult, evaluate, type Images, type PredictOptions, predict } from "./predict/predict.ts";
export { Predictor, type PredictorOptions, type SamplingOptions } from "./predict/predictor.ts";
export { type FittedTemperature, fitTemperature } from "./predict/temperature.ts";
export { chooseThreshold, type SelectiveResult, type ThresholdOptions } from "./predict/threshold.ts";
export type { ChannelScore } from "./prune/channelScores.ts";
export { type Costs, costsOf, type LayerCosts } from "./prune/costs.ts";
export {
  type LayerSparsity,
  type PruneOptions,
  type PruneResult,
  prune,
  type Sparsity,
  sparsity,
} from "./prune/prune.ts";
export { type PruneExperimentOptions, type PruneExperimentResult, pruneExperiment } from "./prune/pruneExperiment.ts";
export type { ScoreName } from "./prune/scores.ts";
export { cubicSchedule, type Selection } from "./prune/select.ts";
export { type ShrinkOptions, shrink } from "./prune/shrink.ts";
export {
  type ShrinkExperimentOptions,
  type ShrinkExperimentResult,
  shrinkExperiment,
} from "./prune/shrinkExperiment.ts";
export { buildReport, type ReportData, type ReportSummary, reportJson } from "./report/index.ts";
export {
  type Callbacks,
  type EpochRecord,
  type FitData,
  type FitOptions,
  type FitResult,
  fit,
  type Monitor,
  type Recipe,
  type StepRecord,
} from "./train/fit.ts";
export { BayesError, type ErrorCode } from "./util/errors.ts";
