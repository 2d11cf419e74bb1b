import { join } from "node:path";
import type { Command } from "commander";
import { classesOnly } from "../data/classes.ts";
import { subset } from "../data/dataset.ts";
import { loadImageFiles } from "../data/images.ts";
import { loadData } from "../data/locate.ts";
import { fail } from "../errors.ts";
import type { ClassPrediction } from "../likelihoods/categorical.ts";
import { type Images, predict } from "../predict/predict.ts";
import { ensureDir, writeFileAtomic } from "../util/atomic.ts";
import { type Context, inContext, integers, type SamplingOptions, sampling, shared, UsageError } from "./options.ts";
import { colours, percent, table } from "./output.ts";
import { openRun, type RunConfig, runData } from "./run-folder.ts";

interface PredictOptions extends SamplingOptions {
  readonly data?: string;
  readonly index?: readonly number[];
  readonly invert?: boolean;
}

/** Images to look at, with what is known of them. */
interface Asked {
  readonly images: Images;
  readonly names: readonly string[];
  readonly labels?: Int32Array;
}

/** `bayescnn predict RUNDIR IMAGE...`. */
export function predictCommand(root: Command): void {
  shared(
    sampling(
      root
        .command("predict")
        .description("classify images, and say how sure that is and why not")
        .argument("<rundir>", "folder of a run")
        .argument("[image...]", "image files; resized to the model's input")
        .option("--index <list>", "instead of files: test images of the run's data, as 3,17,20-25", integers)
        .option("--data <name>", "take --index from this data set"),
    ).option("--invert", "swap black and white (digits written dark on light)"),
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
  const run = openRun(dir);
  using model = run.model;
  const { config } = run;
  const asked = files.length > 0 ? await fromFiles(files, model.inputShape, options) : await fromData(config, options);
  const prediction = (await predict(model, asked.images, {
    samples: options.samples ?? config.testSamples,
    seed: options.seed ?? config.testSeed,
    mode: options.mode,
    precision: options.precision ?? config.training.precision,
    signal,
  })) as ClassPrediction;
  const { classes, epistemicTotal, aleatoricTotal, entropy, mutualInformation } = prediction;
  const results = asked.names.map((image, n) => {
    const probabilities = [...prediction.probabilities.subarray(n * classes.length, (n + 1) * classes.length)];
    const c = prediction.top(n);
    return {
      image,
      class: classes[c],
      ...(asked.labels ? { label: classes[asked.labels[n]] } : {}),
      probability: probabilities[c],
      epistemic: epistemicTotal[n],
      aleatoric: aleatoricTotal[n],
      entropy: entropy[n],
      mutualInformation: mutualInformation[n],
      probabilities: Object.fromEntries(probabilities.map((p, i) => [classes[i], p])),
    };
  });
  if (options.out !== undefined) {
    ensureDir(options.out);
    writeFileAtomic(join(options.out, "predictions.json"), `${JSON.stringify(results, null, 2)}\n`);
  }
  for (const r of results) out.event("prediction", r);
  const rows = [
    ["image", "class", ...(asked.labels ? ["is"] : []), "probability", "epistemic", "aleatoric", "entropy"],
    ...results.map((r) => [
      r.image,
      r.class,
      ...(r.label === undefined ? [] : [r.label]),
      percent(r.probability),
      r.epistemic.toFixed(5),
      r.aleatoric.toFixed(5),
      r.entropy.toFixed(4),
    ]),
  ];
  const [head, ...lines] = table(rows);
  out.line(colours().bold(head));
  for (const line of lines) out.line(line);
  out.line(
    model.bayesian && prediction.samples > 1
      ? `\n${prediction.samples} Monte-Carlo samples. Epistemic: the samples disagree, more data would help. Aleatoric: the image is unclear. Entropy in nats.`
      : "\nOne pass: without Monte-Carlo samples there is no epistemic uncertainty. Entropy in nats.",
  );
}

async function fromFiles(
  files: readonly string[],
  shape: readonly [number, number, number],
  { invert }: PredictOptions,
): Promise<Asked> {
  const images = await loadImageFiles(files, shape);
  return { images: { images: invert ? images.map((v) => 255 - v) : images, count: files.length, shape }, names: files };
}

async function fromData(config: RunConfig, options: PredictOptions): Promise<Asked> {
  const { test } =
    options.data === undefined
      ? await runData(config, options.dataDir)
      : classesOnly(await loadData(options.data, options.dataDir, { size: config.data.imageSize }));
  const index = options.index!;
  const outside = index.find((i) => i >= test.count);
  if (outside !== undefined)
    fail("predict", `--index below ${test.count}, the number of test images of ${test.name}`, outside);
  const chosen = subset(test, index);
  return { images: chosen, names: index.map((i) => `${test.name} ${i}`), labels: chosen.targets as Int32Array };
}
