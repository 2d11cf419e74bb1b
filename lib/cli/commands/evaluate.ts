import { basename } from "node:path";
import type { Command } from "commander";
import { type Dataset, type ImageShape, imageSize } from "../../data/dataset.ts";
import { loadImages } from "../../data/images.ts";
import { DATASETS, findData, isDatasetName, loadData } from "../../data/locate.ts";
import { behind, checkPixels } from "../../data/prepare.ts";
import type { Categorical } from "../../likelihoods/categorical.ts";
import type { Prediction } from "../../likelihoods/shared/likelihood.ts";
import { ClassPrediction } from "../../likelihoods/shared/predictions.ts";
import { topLabel } from "../../metrics/calibration.ts";
import { aupr, auroc, fpr95, riskCoverage } from "../../metrics/ood.ts";
import type { Model } from "../../models/model.ts";
import { precisionOn } from "../../native/device.ts";
import { evaluate, type Images, predict } from "../../predict/predict.ts";
import { checkDir, ensureDir } from "../../util/atomic.ts";
import { fail } from "../../util/errors.ts";
import { afterLines, fitAfter, fitted, keepTemperature, testSets } from "../shared/after.ts";
import { type Context, declare, inContext, path, sampling, several, shared, type Values } from "../shared/options.ts";
import { fixed, lines, type Output, percent, table } from "../shared/output.ts";
import { comparisonRow, comparisonTable, testModel, writeOnnx, writeReport } from "../shared/results.ts";
import { otherData, runData } from "../shared/run-data.ts";
import { lockRun, openRunFolder, unfinished } from "../shared/run-folder.ts";
import { testFields, testTable } from "../shared/training.ts";
import { selective, thresholdLine } from "./threshold.ts";

const own = declare()
  .value("--data <name>", "another data set: its test images, or all of a folder's (default: the run's own test)", path)
  .and(sampling)
  .value("--ood <name>", `strange images that should look uncertain: ${DATASETS.join(", ")} or a folder`, path)
  .value("--ood-dir <dir>", "where the strange data set is (default: --data-dir)", path)
  .and(fitted)
  .value("--compare <rundir>", "print another tested run beside this one, such as the frequentist twin", several);
type EvaluateOptions = Values<typeof own>;

/** `bayescnn evaluate RUNDIR`. */
export function evaluateCommand(root: Command): void {
  shared(
    root
      .command("evaluate")
      .description("test a trained run: accuracy, calibration, uncertainty, and strange images (--ood)")
      .argument("<rundir>", "folder of a run", path),
    own,
    {
      out: "write report.html and report.json into this folder",
      seed: "seed of the noise (default: the run's)",
      example: "bayescnn evaluate runs/start --samples 64 --json",
    },
  ).action((dir: string, options: EvaluateOptions) =>
    inContext(options, (context) => evaluateRun(dir, options, context)),
  );
}

async function evaluateRun(dir: string, options: EvaluateOptions, { out, signal }: Context): Promise<void> {
  if (options.out !== undefined) checkDir(options.out); // now, not after the work
  const beside = (options.compare ?? []).map(comparisonRow);
  using lock = options.temperature === undefined ? undefined : lockRun(dir);
  const run = openRunFolder(dir);
  using model = run.model;
  const early = unfinished(run);
  if (early) out.note(early);
  const { config } = run;
  const fits = options.temperature !== undefined || options.conformal !== undefined;
  const whole =
    options.data === undefined || fits
      ? await runData(config, options.data === undefined ? options.dataDir : undefined)
      : undefined;
  const own = options.data === undefined ? whole : undefined;
  const test = own?.test ?? (await otherData(options.data!, options.dataDir, config, classesOf(model)));
  for (const sentence of test.notes ?? []) out.note(sentence);
  const predicting = {
    samples: options.samples ?? config.testSamples,
    seed: options.seed ?? config.testSeed,
    mode: options.mode,
    precision: options.precision ?? precisionOn(model.store.device, config.training.precision),
    signal,
  };
  const decided = model.threshold;
  const after = fits ? await fitAfter(run, whole!, options, predicting) : {};
  const tested = await evaluate(model, test, predicting);
  const sets = testSets(after, tested);
  const { prediction, targets, metrics } = tested;
  const aurc = prediction instanceof ClassPrediction ? aurcOf(prediction, targets as Int32Array) : undefined;
  const strange = options.ood === undefined ? undefined : await oodOf(model, prediction, options, predicting, out);
  const selected = model.threshold && selective(model, prediction, targets, model.threshold.certainty);
  if (options.out !== undefined) {
    ensureDir(options.out);
    await writeReport(options.out, model, test, config, tested, {
      ...(own ? { train: own.train } : {}),
      history: run.checkpoint.training?.history,
      comparison: beside,
      notes: test.notes,
      ...(model.threshold && selected ? { threshold: { ...model.threshold, ...selected } } : {}),
      ...(strange ? { ood: strange.shown } : {}),
    });
  }
  if (lock) {
    const retested = await testModel(model, whole!.test, config, { signal });
    lock.check();
    keepTemperature(dir, model);
    writeOnnx(dir, model);
    await writeReport(dir, model, whole!.test, config, retested, {
      train: whole!.train,
      history: run.checkpoint.training?.history,
    });
    if (decided && !model.threshold)
      out.note("the run's threshold was chosen at another temperature and is gone: choose it again");
  }

  out.event("evaluation", {
    runDir: dir,
    data: test.name,
    ...testFields(tested),
    ...(aurc === undefined ? {} : { aurc }),
    ...(selected ? { threshold: model.threshold, selective: selected } : {}),
    ...(model.temperature === undefined ? {} : { temperature: model.temperature }),
    ...(after.temperature ? { fitted: after.temperature } : {}),
    ...(after.conformal ? { conformal: { ...after.conformal, test: sets } } : {}),
    ...(strange ? { ood: strange.found } : {}),
    ...(beside.length > 0 ? { beside } : {}),
  });
  out.line(["bold", `${dir}: ${model.name} on ${test.name}`]);
  for (const line of testTable(model, tested)) out.line(line);
  if (aurc !== undefined)
    out.line(`  AURC          ${fixed(aurc)}  error rate, averaged over how many images are answered`);
  if (selected) lines(out, "", thresholdLine(model, selected));
  if (fits) lines(out, "", ...afterLines(after, sets));
  if (lock)
    out.line(
      `kept in ${dir}: ${model.temperature === undefined ? "no temperature" : "its predictions and the exported model have the temperature"}`,
    );
  if (beside.length > 0) lines(out, "", ...comparisonTable(model, metrics, beside));
  if (!strange) return;
  out.line();
  out.line(`strange images (${strange.found.data}, ${strange.found.count}) against ${test.name}, told apart by`);
  const rows = [
    ["", "AUROC", "AUPR", "FPR95"],
    ...strange.found.scores.map((s) => [`  ${s.score}`, fixed(s.auroc), fixed(s.aupr), percent(s.fpr95)]),
  ];
  for (const row of table(rows)) out.line(row);
}

/** The names that a model of classes knows; undefined for other likelihoods. */
const classesOf = ({ likelihood }: Model): readonly string[] | undefined =>
  (likelihood as Partial<Categorical>).classes;

function aurcOf(prediction: ClassPrediction, labels: Int32Array): number {
  const { confidence, correct } = topLabel(prediction.probabilities, labels);
  return riskCoverage(confidence, correct).aurc;
}

const SCORES = [
  ["entropy", "entropy"],
  ["mutualInformation", "mutual information"],
  ["epistemicTotal", "epistemic variance"],
  ["aleatoricTotal", "aleatoric variance"],
] as const;

/** How well strange images are told apart, as figures and as a report shows them. */
async function oodOf(
  model: Model,
  inside: Prediction,
  options: EvaluateOptions,
  predicting: Parameters<typeof predict>[2],
  out: Output,
) {
  const strange = await strangeImages(model, options, out);
  const outside = await predict(model, strange, predicting);
  type Scored = Prediction & { readonly [K in (typeof SCORES)[number][0]]?: Float32Array };
  const scores = SCORES.filter(
    ([key]) => (inside as Scored)[key] && (model.stochastic || key === "entropy" || key === "aleatoricTotal"),
  ).map(([key, score]) => ({ score, inside: (inside as Scored)[key]!, outside: (outside as Scored)[key]! }));
  return {
    shown: { data: strange.name, scores },
    found: {
      data: strange.name,
      count: strange.count,
      scores: scores.map(({ score, inside: a, outside: b }) => ({
        score,
        auroc: auroc(a, b),
        aupr: aupr(a, b),
        fpr95: fpr95(a, b),
      })),
    },
  };
}

/** A known set's test images, cropped or padded; or pictures of any size in any folder, scaled and cropped. */
async function strangeImages(
  { inputShape, preprocess }: Model,
  { ood, oodDir, dataDir }: EvaluateOptions,
  out: Output,
): Promise<Images & { readonly name: string }> {
  if (isDatasetName(ood!)) return reshaped((await loadData(ood, oodDir ?? dataDir)).test, inputShape);
  const place = findData(ood!, oodDir ?? dataDir) ?? ood!;
  const { failed, notes, ...images } = await loadImages(place, inputShape, behind(preprocess));
  for (const sentence of notes) out.note(sentence);
  for (const { file, reason } of failed) out.note(`left out ${file}: ${reason}`);
  checkPixels("evaluate", images.images, preprocess);
  return { ...images, name: basename(place) };
}

/**
 * The images in the shape of another set: cropped or padded with zeros around the centre, colours averaged to grey, grey
 * repeated to colours.
 */
export function reshaped<D extends Dataset>(data: D, like: ImageShape): D {
  const [h0, w0, c0] = data.shape;
  const [h, w, c] = like;
  if (data.shape.every((d, i) => d === like[i])) return data;
  if (c0 !== c && c0 !== 1 && c !== 1) fail("evaluate", `images of ${c} channels or of one`, c0);
  const size = imageSize(like);
  const images = new Float32Array(data.count * size);
  const [top, left] = [Math.floor((h - h0) / 2), Math.floor((w - w0) / 2)];
  for (let n = 0, to = 0; n < data.count; n++)
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) {
        const [fromY, fromX] = [y - top, x - left];
        const inside = fromY >= 0 && fromY < h0 && fromX >= 0 && fromX < w0;
        const from = ((n * h0 + fromY) * w0 + fromX) * c0;
        for (let k = 0; k < c; k++, to++) {
          if (!inside) continue;
          if (c0 === c) images[to] = data.images[from + k];
          else if (c0 === 1) images[to] = data.images[from];
          else for (let j = 0; j < c0; j++) images[to] += data.images[from + j] / c0;
        }
      }
  return {
    ...data,
    images: data.images instanceof Uint8Array ? Uint8Array.from(images, Math.round) : images,
    shape: like,
  };
}
