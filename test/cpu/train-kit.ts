// A small problem for the tests of training: 12x12 images in four classes, told by where a bright square lies, and nets of
// a few hundred weights that learn them in a second.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach } from "vitest";
import { warmUpBeta } from "../../lib/bayes/beta.ts";
import type { BayesOptions } from "../../lib/bayes/settings.ts";
import { type ClassDataset, type Dataset, makeDataset, subset } from "../../lib/data/dataset.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Tensor } from "../../lib/graph/node.ts";
import { bayesConv2d, conv2d } from "../../lib/layers/conv.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { batchNorm2d } from "../../lib/layers/norm.ts";
import { type Categorical, categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { setThreads, threads } from "../../lib/native/device.ts";
import { correct } from "../../lib/ops/correct.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { gatherBatch } from "../../lib/ops/gatherBatch.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { mean } from "../../lib/ops/mean.ts";
import { mul } from "../../lib/ops/mul.ts";
import { sgdUpdate } from "../../lib/ops/sgd.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmaxCrossEntropy.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { type FitOptions, type FitResult, fit as fitModel, type StepRecord } from "../../lib/train/fit.ts";
import { cosineRate } from "../../lib/train/schedules.ts";
import { random } from "../ops/harness.ts";

export const CLASSES = 4;

/** Every test of the file has one thread, enough for such small nets, and a folder that is not there yet. */
export function eachRun(given: (folder: string) => void): void {
  const root = mkdtempSync(join(tmpdir(), "bayescnn-train-"));
  const before = threads();
  let runs = 0;
  beforeEach(() => {
    setThreads(1);
    given(join(root, String(runs++)));
  });
  afterAll(() => {
    setThreads(before);
    rmSync(root, { recursive: true });
  });
}

export function squares(count: number, seed = 1): ClassDataset {
  const next = random(seed);
  const images = new Uint8Array(count * 144);
  const labels = Array.from({ length: count }, () => Math.floor(next() * CLASSES));
  for (let n = 0; n < count; n++) {
    const [top, left] = [labels[n] & 1, labels[n] >> 1].map((side) => 1 + 5 * side + Math.floor(next() * 2));
    for (let y = 0; y < 12; y++)
      for (let x = 0; x < 12; x++) {
        const inside = y >= top && y < top + 4 && x >= left && x < left + 4;
        images[n * 144 + y * 12 + x] = Math.floor(next() * 60) + (inside ? 150 : 0);
      }
  }
  return makeDataset({ name: "squares", images, labels, shape: [12, 12, 1], classes: CLASSES });
}

export const head = (data: ClassDataset, count: number): ClassDataset =>
  subset(
    data,
    Array.from({ length: count }, (_, i) => i),
  );

export const unit = { scale: [1 / 255], shift: [0] };

export interface TinyOptions {
  readonly bayes?: BayesOptions;
  readonly seed?: number;
  readonly norm?: boolean;
}

/** Convolution, (batch norm,) softplus, pool, linear: Bayesian throughout. */
export function tinyBayes({ bayes, seed = 3, norm = false }: TinyOptions = {}): Model<Categorical> {
  return new Model({
    name: "tiny-bayes",
    input: [12, 12, 1],
    likelihood: categorical(CLASSES),
    preprocess: unit,
    seed,
    bayes,
    config: { model: "tiny-bayes", norm },
    build(x) {
      let h = bayesConv2d(x, 4, 3, { name: "conv1", padding: 1 });
      if (norm) h = batchNorm2d(h, { name: "norm1" });
      h = maxPool2d(softplus(h), { kernel: 4 });
      return bayesLinear(flatten(h), CLASSES, { name: "fc1" });
    },
  });
}

/** The same net with plain weights. */
export function tinyPlain({ seed = 3 }: TinyOptions = {}, after: (h: Tensor) => Tensor = (h) => h): Model<Categorical> {
  return new Model({
    name: "tiny-plain",
    input: [12, 12, 1],
    likelihood: categorical(CLASSES),
    preprocess: unit,
    seed,
    config: { model: "tiny-plain" },
    build(x) {
      const h = maxPool2d(softplus(conv2d(x, 4, 3, { name: "conv1", padding: 1 })), { kernel: 4 });
      return linear(flatten(after(h)), CLASSES, { name: "fc1" });
    },
  });
}

/** Accuracy and NLL with the mean weights, over the whole set at once. */
export async function evaluate(model: Model, data: Dataset): Promise<{ accuracy: number; nll: number }> {
  const specs = {
    images: { shape: [data.count, ...data.shape], dtype: "u8" as const },
    index: { shape: [data.count], dtype: "i32" as const },
  };
  using program = compile({ store: model.store }, specs, ({ images, index }) => {
    const labels = constant(data.targets as Int32Array);
    const { output } = model.apply(gatherBatch(images, index, unit), { mode: "mean" });
    return { nll: mean(softmaxCrossEntropy(output, labels)), right: correct(output, labels) };
  });
  const index = Int32Array.from({ length: data.count }, (_, i) => i);
  const { nll, right } = await program.runAsync({ images: data.images, index });
  return { accuracy: right[0] / data.count, nll: nll[0] };
}

/** Every slot of the store that a checkpoint would keep, as bytes, to be compared with toEqual. */
export function bits(model: Model): Record<string, string> {
  const names = [...model.store.slots.keys()].filter((name) => !name.startsWith("data/")).sort();
  return Object.fromEntries(
    names.map((name) => {
      const { buffer, byteOffset, byteLength } = model.store.get(name);
      return [name, Buffer.from(buffer, byteOffset, byteLength).toString("base64")];
    }),
  );
}

/** Makes a parameter NaN, as only a program of one's own without a guard can. */
export function spoil(model: Model, name: string): void {
  using program = compile({ store: model.store }, { lr: [], factor: [] }, ({ lr, factor }) => {
    const param = model.store.tensor(name);
    sgdUpdate(lr, [{ param, grad: mul(param, factor) }]);
    return { lr };
  });
  program.run({ lr: 1, factor: Number.NaN });
}

/** A metrics file without what the clock said. */
export const withoutWall = (text: string): unknown[] =>
  text
    .split("\n")
    .slice(0, -1)
    .map((line) => {
      const { wall: _, ...rest } = JSON.parse(line);
      return rest;
    });

/** What `train` trains and validates on. */
export const data = { train: squares(200), valid: squares(80, 2) };

/** The options of `train`, unless it is told others. */
export const common: FitOptions = {
  epochs: 3,
  batchSize: 32, // 6 whole batches and one of 8
  learningRate: cosineRate(0.01),
  beta: warmUpBeta(0.5),
  initialSigma: 0, // all that fit would choose is said: no notes
  seed: 7,
  augment: { shift: 1, flip: false },
  evaluate,
};

export interface Trained {
  readonly result: FitResult;
  /** What every step reported. */
  readonly steps: StepRecord[];
  /** Of the model afterwards. */
  readonly bits: Record<string, string>;
}

/** Fits a new model, without a run folder unless the options name one. */
export async function train(options: Partial<FitOptions> = {}, make: () => Model = tinyBayes): Promise<Trained> {
  using model = make();
  const steps: StepRecord[] = [];
  const result = await fitModel(model, data, { ...common, callbacks: { onStep: (r) => steps.push(r) }, ...options });
  return { result, steps, bits: bits(model) };
}
