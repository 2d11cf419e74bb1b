import { join } from "node:path";
import type { Command } from "commander";
import { loadImages } from "../../data/images.ts";
import { behind } from "../../data/prepare.ts";
import { inMemory } from "../../data/source.ts";
import type { Categorical } from "../../likelihoods/categorical.ts";
import { answerOf, certaintyOf } from "../../likelihoods/shared/likelihood.ts";
import type { Model } from "../../models/model.ts";
import { precisionOn } from "../../native/device.ts";
import { type Images, predict } from "../../predict/predict.ts";
import { checkDir, ensureDir, writeFileAtomic } from "../../util/atomic.ts";
import { BayesError, fail } from "../../util/errors.ts";
import { fitting } from "../../util/text.ts";
import {
  type Context,
  declare,
  inContext,
  integers,
  path,
  sampling,
  shared,
  UsageError,
  type Values,
} from "../shared/options.ts";
import { type Output, table } from "../shared/output.ts";
import { otherData, runData } from "../shared/run-data.ts";
import { openRunFolder, type RunConfig, unfinished } from "../shared/run-folder.ts";

const own = declare()
  .value("--index <list>", "instead of files: test images of the run's data, as 3,17,20-25", integers)
  .value("--data <name>", "take --index from this data set", path)
  .and(sampling)
  .flag("--invert", "swap black and white (digits written dark on light)");
type PredictOptions = Values<typeof own>;

/** Images to look at, with what is known of them. */
interface Asked {
  readonly images: Images;
  readonly names: readonly string[];
  /** What each one is, in words. */
  readonly truths?: readonly string[];
  readonly failed: readonly { readonly file: string; readonly reason: string }[];
}

/** `bayescnn predict RUNDIR IMAGE...`. */
export function predictCommand(root: Command): void {
  shared(
    root
      .command("predict")
      .description("answer for images, and say how sure that is and why not")
      .argument("<rundir>", "folder of a run", path)
      .argument("[image...]", "image files or folders; resized to the model's input"),
    own,
    {
      out: "also write predictions.json into this folder",
      seed: "seed of the noise (default: the run's)",
      example: "bayescnn predict runs/start --index 0-9",
    },
  ).action((dir: string, files: string[], options: PredictOptions) =>
    inContext(options, (context) => predictImages(dir, files, options, context)),
  );
}

async function predictImages(
  dir: string,
  files: readonly string[],
  options: PredictOptions,
  { out, signal }: Context,
): Promise<void> {
  if (files.length > 0 === (options.index !== undefined))
    throw new UsageError(
      `[predict] expected image files or --index, received ${files.length > 0 ? "both" : "neither"}`,
    );
  if (options.out !== undefined) checkDir(options.out); // now, not after the work
  const run = openRunFolder(dir);
  using model = run.model;
  const early = unfinished(run);
  if (early) out.note(early);
  const { config } = run;
  const asked = files.length > 0 ? await fromFiles(files, model, options, out) : await fromData(config, model, options);
  for (const { file, reason } of asked.failed) out.event("failed", { image: file, reason });
  if (asked.images.count > 0) await answer(model, dir, config, asked, options, { out, signal });
  if (asked.failed.length === 0) return;
  for (const { file, reason } of asked.failed) out.line(`not predicted: ${file}: ${reason}`);
  const several = asked.failed.length > 1 ? ` (and ${asked.failed.length - 1} more)` : "";
  throw new BayesError(
    `[predict] expected images, received ${asked.failed[0].file}${several}: ${asked.failed[0].reason}; the others have their answers`,
  );
}

/** Predicts, and prints an answer for each image. */
async function answer(
  model: Model,
  dir: string,
  config: RunConfig,
  { images, names, truths }: Asked,
  options: PredictOptions,
  { out, signal }: Pick<Context, "out" | "signal">,
): Promise<void> {
  const prediction = await predict(model, images, {
    samples: options.samples ?? config.testSamples,
    seed: options.seed ?? config.testSeed,
    mode: options.mode,
    precision: options.precision ?? precisionOn(model.store.device, config.training.precision),
    signal,
  });
  const { likelihood, threshold } = model;
  const certainty = certaintyOf(likelihood, prediction);
  const results = names.map((image, n) => ({
    image,
    ...answerOf(likelihood, prediction, n),
    ...(threshold ? { unsure: certainty[n] < threshold.certainty } : {}),
    ...(truths ? { truth: truths[n] } : {}),
  }));
  if (options.out !== undefined) {
    ensureDir(options.out);
    writeFileAtomic(join(options.out, "predictions.json"), `${JSON.stringify(results, null, 2)}\n`);
  }
  for (const r of results) out.event("prediction", r);
  const rows = [
    ["image", "answer", ...(truths ? ["is"] : []), "epistemic", "aleatoric"],
    ...results.map((r) => [
      fitting(r.image),
      fitting(r.unsure ? `unsure (${r.text})` : r.text),
      ...(r.truth === undefined ? [] : [fitting(r.truth)]),
      r.epistemic.toPrecision(3),
      r.aleatoric.toPrecision(3),
    ]),
  ];
  const [head, ...lines] = table(rows, "left");
  out.line(["bold", head]);
  for (const line of lines) out.line(line);
  out.line();
  out.line(
    model.stochastic && prediction.samples > 1
      ? `${prediction.samples} Monte-Carlo samples. Epistemic: the samples disagree, more data would help. Aleatoric: the image is unclear.`
      : "One pass: without Monte-Carlo samples there is no epistemic uncertainty.",
  );
  if (!threshold)
    out.line(`With a threshold it says when it does not know: bayescnn threshold ${dir} --max-error 0.05`);
}

async function fromFiles(
  paths: readonly string[],
  { inputShape, preprocess }: Model,
  { invert }: PredictOptions,
  out: Output,
): Promise<Asked> {
  const { files, failed, notes, images, count } = await loadImages(paths, inputShape, behind(preprocess));
  for (const sentence of notes) out.note(sentence);
  const pixels = invert ? images.map((v) => 255 - v) : images;
  return { images: { images: pixels, count, shape: inputShape }, names: files, failed };
}

async function fromData(config: RunConfig, model: Model, options: PredictOptions): Promise<Asked> {
  const { likelihood, targetShape } = model;
  const test =
    options.data === undefined
      ? (await runData(config, options.dataDir)).test
      : await otherData(options.data, options.dataDir, config, (likelihood as Partial<Categorical>).classes);
  const index = options.index!;
  const outside = index.find((i) => i >= test.count);
  if (outside !== undefined)
    fail("predict", `--index below ${test.count}, the number of test images of ${test.name}`, outside);
  const chosen = await inMemory(test, index);
  const names = index.map((i) => `${test.name} ${i}`);
  const targets = likelihood.targets("predict", chosen, targetShape);
  const each = targets.length / index.length;
  const truths = index.map((_, n) =>
    test.classes
      ? test.classes[(chosen.targets as Int32Array)[n]]
      : each > 8
        ? `${each} numbers`
        : [...targets.subarray(n * each, (n + 1) * each)].map((t) => Number(t.toPrecision(4))).join(", "),
  );
  return { images: chosen, names, truths, failed: [] };
}
