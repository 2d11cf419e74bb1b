// The public names, by the subpath they live in. Whoever adds, renames or removes one changes this list on purpose.
import { readFileSync } from "node:fs";
import ts from "typescript";
import { describe, expect, it } from "vitest";
import { read } from "../docs-kit/blocks.ts";
import { entries } from "../docs-kit/entries.ts";

const words = (text: string): string[] => text.split(/\s+/).filter(Boolean);
const root = "bayescnn";

/** What is there when the program runs: functions, classes, constants. */
const values: Readonly<Record<string, string[]>> = {
  bayescnn: words(`
    BayesError Model Predictor add alphaPosterior avgPool2d batchNorm2d bayesConv2d bayesConvTranspose2d bayesLinear
    bernoulli buildReport categorical chooseThreshold classWeights concat conformal conv2d convTranspose2d
    costsOf createModel cubicSchedule dropout embeddedMnist evaluate exportOnnx exportPosterior filterResponseNorm2d fit
    fitTemperature flatten gaussian gaussianPrior getData globalAvgPool2d importWeights inMemory isStreamed laplace
    leakyRelu linear loadData loadImageFolder loadImageFolders
    loadImages loadLuma loadTable makeDataset makeSource maxPool2d modelNames normalizationOf openModel openRun
    picturePatches pixelShuffle posteriorOf predict prune pruneExperiment readPicture referenceInit relu reportJson rhoPosterior saveModel scaleMixturePrior
    setThreads shrink shrinkExperiment sigmoid softmax softplus sparsity split subset superResolutionModel superResolve
    tanh threads toBayesian toFrequentist`),
  "bayescnn/data": words(`
    absentClasses alignClasses canonical classWeights classesOnly embeddedMnist getData hasClasses identity inMemory
    isStreamed loadData loadImageFolder loadImageFolders loadImages loadTable makeDataset makeSource normalizationOf
    notesOf overlap readIdx split subset`),
  "bayescnn/graph": words(`
    Program RunError Store compile constant defineOp grad interpret klTermsOf layerContext noiseFor openDevice ops parameter withTrace`),
  "bayescnn/likelihoods": words(`
    likelihoodOf numberTargets perRow predictiveNll rowsLike totalVariance tracedMoments`),
  "bayescnn/metrics": words(`
    accuracy adaptiveEce aupr auroc brier classificationMetrics decompose ece expectedEntropy fpr95
    meanProbabilities mutualInformation nll normalizedSoftplusRows predictiveEntropy psnr reliabilityBins riskCoverage
    softmaxRows ssim`),
  "bayescnn/models": words(`
    alexnet conv3fc3 dcganDiscriminator dcganGenerator espcn kit lenet5 lenet5Caffe mobilenet resnet resnet18 resnet20
    vgg11 vgg16`),
  "bayescnn/onnx": words(`
    exportModes exportOnnx readMetadata verifyOnnx`),
  "bayescnn/report": words(`
    buildReport reportJson`),
  "bayescnn/train": words(`
    adam adamw blundellBeta constantBeta constantRate cosineBeta cosineRate l1Penalty loadCheckpoint parseBeta
    parseRate plateauRate readSafetensors recipeFor restore saveCheckpoint sgd stepRate warmUpBeta warmUpRate writeSafetensors`),
};

/** What the compiler alone sees. */
const types: Readonly<Record<string, string[]>> = {
  bayescnn: words(`
    AlphaPosteriorOptions AnswerOf AnyClassDataset AnyDataset ApplyOptions ApplyResult ArchitectureConfig AskOptions
    Augmentation BatchNormLayerOptions BayesOptions BayesSettings BernoulliOptions BernoulliPrediction BlobLike
    CallOptions Callbacks Categorical ChannelScore ClassAnswer ClassDataset ClassMetrics ClassModelConfig ClassPrediction
    ConformalIntervals ConformalOptions ConformalResult ConformalSets ConvLayerOptions ConvOptions
    ConvTransposeLayerOptions ConvTransposeOptions Costs Dataset Device DeviceName DropoutLayerOptions EpochRecord
    ErrorCode EvaluateResult ExportMode ExportOptions FilterResponseNormOptions FitData FitOptions FitResult
    FittedTemperature GaussianPriorOptions ImageInput ImageShape Images ImportOptions Judged Knowledge LayerChoice
    LayerCosts LayerOptions LayerSparsity Likelihood LikelihoodModelConfig
    LoadedImages LumaPicture MetricsOf Mode ModelConfig ModelOptions Monitor NoiseScale Normalization NumberPrediction
    OpenOptions OpenRunOptions OpenedRun Padding Pair PatchOptions Pixels PointOptions Posterior PosteriorConfig Precision
    PredictOptions Prediction PredictionOf PredictorOptions Preprocess Prior PriorConfig PriorMoments
    PruneExperimentOptions PruneExperimentResult PruneOptions PruneResult RawImage ReadOptions Recipe RegressionOptions
    ReportData ReportSummary RhoPosteriorOptions SamplingOptions ScaleMixturePriorOptions ScoreName Selection
    SelectiveResult Shape ShrinkExperimentOptions ShrinkExperimentResult ShrinkOptions SourceOptions SourceParts Sparsity SplitSizes StepRecord StreamOptions StreamedDataset
    SuperResolutionOptions SuperResolved TableOptions Targets Tensor Threshold ThresholdOptions ToBayesianOptions TrainTest Unanswered UpscaleOptions WeightDistribution WeightPosterior
    WindowOptions`),
  "bayescnn/data": words(`
    AnyClassDataset AnyDataset Augmentation BadImage BlobLike Checksum ClassDataset ClassExamples ClassParts Dataset
    DecodeOptions Examples GetOptions IdxArray ImageInput ImageShape LoadedImages Normalization Parts PassOptions
    Pixels Preprocess RawImage ReadOptions RemoteFile ResizedCrop Source SourceOptions SourceParts SplitSizes StreamOptions
    StreamedDataset TableOptions TargetParts TrainTest`),
  "bayescnn/graph": words(`
    Attrs BayesWeights DType Data Device DeviceName GaussianPriorArgs InputSpec Inputs KlTerm LayerSettings Mode Node NodeRecord
    Noise OpDefinition PlanReport Precision Shape Slot SlotOptions SlotRole Tensor TensorType Trace TraceOptions Turn Values`),
  "bayescnn/likelihoods": words(`
    Answer Better Figure Likelihood LikelihoodConfig MetricsOf Moments Prediction PredictionOf Targets`),
  "bayescnn/metrics": words(`
    BinOptions ClassificationMetrics DecomposeResult Floats Labels QualityOptions ReliabilityBin RiskCoverageResult Scores`),
  "bayescnn/models": words(`
    Activation DcganGeneratorOptions DcganOptions Kit KitOptions Norm ResnetOptions`),
  "bayescnn/onnx": words(`
    ExportMode ExportOptions VerifyOptions VerifyResult`),
  "bayescnn/report": words(`
    Appraisal Axis Block Calibration Color Column ComparisonRow Gallery Histogram HistoryPoint Mark Matrix Note
    OodFigures Panel Plot PruningRow Quality Reliability ReportContext ReportData ReportImages ReportOod ReportSetup
    ReportSummary ReportTest Reporter Section Series Shot ShownThreshold Split Table Tile Verdict`),
  "bayescnn/train": words(`
    AdamOptions BetaMoment BetaSchedule Checkpoint EpochSums Json LearningRate Optimizer PlateauMemory
    PlateauOptions Recipe SafeTensor SafeTensors SaidOfRecipe SgdOptions TrainingState`),
};

/** `ops`, which is where the ops are, whatever the layer of that name is called. */
const ops = words(`
    abs adamUpdate add avgPool2d batchNorm2d batchNorm2dInference batchNorm2dUpdate bayesConv2d bayesConvTranspose2d
    bayesLinear binaryCrossEntropyWithLogits broadcastLike broadcastTo checkFinite clip clipByGlobalNorm concat
    conv2d convTranspose2d correct div dropout exp flatten gatherBatch gatherRows gaussianNll gaussianNoise
    globalAvgPool2d globalNorm greaterEqual klGaussian klGaussianAlpha leakyRelu linear log logNormalSum
    logPosteriorSum logScaleMixtureSum logSoftmax maxPool2d maximum mean meanSquaredError minimum mul neg pad
    pixelShuffle pixelUnshuffle relu repeatBatch reshape resizeBicubic scale sgdUpdate sigma2FromLogAlpha
    sigma2FromRho sigmoid slice softmax softmaxCrossEntropy softplus sqrt square squaredError stopGradient sub sum
    sumTo tanh transpose`);

/** The names that a file exports as types alone. */
function typesOf(file: string): string[] {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest);
  return source.statements.flatMap((s) =>
    ts.isExportDeclaration(s) && s.exportClause && ts.isNamedExports(s.exportClause)
      ? s.exportClause.elements.filter((e) => s.isTypeOnly || e.isTypeOnly).map((e) => e.name.text)
      : [],
  );
}
const modules = Object.fromEntries(
  await Promise.all(
    Object.entries(entries).map(
      async ([name, file]) => [name, (await import(file)) as Record<string, unknown>] as const,
    ),
  ),
);

it.each(Object.keys(entries))("%s has these names and no others", (entry) => {
  expect(Object.keys(modules[entry]).sort()).toEqual(values[entry]);
  expect(typesOf(entries[entry]).sort()).toEqual(types[entry]);
});

it("the ops are these", () => expect(Object.keys(modules["bayescnn/graph"].ops as object).sort()).toEqual(ops));

it("the root is small enough to be looked through", () => expect(values[root].length).toBeLessThan(90));

describe("a name", () => {
  it("is in one subpath, or in the root and at most one subpath, where it is the same object", () => {
    const homes = new Map<string, string[]>();
    for (const entry of Object.keys(entries).filter((e) => e !== root))
      for (const name of [...values[entry], ...types[entry]]) homes.set(name, [...(homes.get(name) ?? []), entry]);
    expect([...homes].filter(([, at]) => at.length > 1)).toEqual([]);
    for (const name of values[root]) {
      const home = homes.get(name)?.[0];
      if (home) expect(modules[home][name], name).toBe(modules[root][name]);
    }
    for (const name of values[root]) expect(types[homes.get(name)?.[0] ?? root], name).not.toContain(name);
  });

  it("of an op in the root is that op, unless it is a layer with parameters or noise of its own", () => {
    const all = modules["bayescnn/graph"].ops as Record<string, unknown>;
    const layers = values[root].filter((name) => Object.hasOwn(all, name) && all[name] !== modules[root][name]);
    expect(layers).toEqual(
      words("batchNorm2d bayesConv2d bayesConvTranspose2d bayesLinear conv2d convTranspose2d dropout linear"),
    );
  });
});

it("the API documentation has a chapter for each of them", () => {
  const { entryPoints } = JSON.parse(read("typedoc.json")) as { entryPoints: string[] };
  expect(entryPoints.map((file) => expect.stringMatching(new RegExp(`/${file}$`)))).toEqual(Object.values(entries));
});
