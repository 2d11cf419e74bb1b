// What training makes of a likelihood: N counts examples, weights of examples, what a failed fit leaves behind.
import { describe, expect, it } from "vitest";
import { makeDataset, subset } from "../../lib/data/dataset.ts";
import { classWeights } from "../../lib/data/weights.ts";
import { bayesConv2d } from "../../lib/layers/conv.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { batchNorm2d } from "../../lib/layers/norm.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { type FitOptions, fit, type StepRecord } from "../../lib/train/fit.ts";
import { sgd } from "../../lib/train/optimizers.ts";
import { random } from "../ops/harness.ts";
import { bits, eachRun } from "./train-kit.ts";

eachRun(() => {});

const COUNT = 24;
const next = random(4);
const images = Uint8Array.from({ length: COUNT * 16 }, () => Math.floor(next() * 256));
const shape = [4, 4, 1] as const;
const unit = { scale: [1 / 255], shift: [-0.5] };

const numbers = (targetShape: readonly number[]) =>
  makeDataset({
    name: "numbers",
    images,
    shape,
    targets: Float32Array.from({ length: COUNT * targetShape.reduce((a, b) => a * b, 1) }, () => next() * 3),
    targetShape,
  });
const classes = makeDataset({
  name: "letters",
  images,
  shape,
  labels: Array.from({ length: COUNT }, (_, i) => (i % 6 === 0 ? 1 : 0)),
  classes: ["a", "b", "none"],
});

async function steps(model: Model, data: Parameters<typeof fit>[1], options: FitOptions): Promise<StepRecord[]> {
  const records: StepRecord[] = [];
  await fit(model, data, { ...options, callbacks: { onStep: (r) => records.push(r) } });
  return records;
}

describe("N counts examples, not values", () => {
  it.each([[[1]], [[3]], [[4, 4, 2]]])("the KL weight is beta / N for targets %j", async (targetShape) => {
    const last = targetShape.at(-1)!;
    using model = new Model({
      name: "n",
      input: [4, 4, 1],
      likelihood: gaussian(),
      build: (x) => (targetShape.length === 3 ? bayesConv2d(x, last, 1) : bayesLinear(flatten(x), last)),
    });
    const records = await steps(model, { train: numbers(targetShape) }, { epochs: 2, batchSize: 7, beta: 0.5 });
    expect(records).toHaveLength(8);
    for (const { loss, nll, kl, beta } of records) {
      expect(kl).toBeGreaterThan(0);
      expect(beta).toBe(0.5);
      // float32 sums of two numbers
      expect(Math.abs(loss - (nll + (0.5 / COUNT) * kl!))).toBeLessThan(1e-6 * (Math.abs(nll) + kl!));
    }
  });
});

/** Softmax regression from zero, in float64: one step of plain gradient descent on weighted examples. */
function reference(weights: readonly number[], lr: number): { weight: number[]; bias: number[] } {
  const weight = new Array<number>(16 * 3).fill(0);
  const bias = [0, 0, 0];
  const sum = weights.reduce((a, b) => a + b, 0);
  for (let n = 0; n < COUNT; n++) {
    const w = (weights[n] * COUNT) / sum / COUNT;
    for (let c = 0; c < 3; c++) {
      const g = (1 / 3 - Number(classes.targets[n] === c)) * w;
      bias[c] -= lr * g;
      for (let i = 0; i < 16; i++) weight[i * 3 + c] -= lr * g * (images[n * 16 + i] / 255 - 0.5);
    }
  }
  return { weight, bias };
}

const plain = (): Model => {
  const model = new Model({
    name: "plain",
    input: [4, 4, 1],
    likelihood: categorical(3),
    preprocess: unit,
    build: (x) => linear(flatten(x), 3, { name: "fc" }),
  });
  for (const { name, shape } of model.parameters)
    model.store.set(name, new Float32Array(shape.reduce((a, b) => a * b, 1)));
  return model;
};

const whole: FitOptions = { epochs: 1, batchSize: COUNT, optimizer: sgd(), learningRate: 0.5 };

describe("exampleWeights", () => {
  it("scale to mean 1 and weigh each example's gradient, zero leaving it out", async () => {
    const weights = Array.from({ length: COUNT }, (_, i) => (i % 5 === 0 ? 0 : 1 + (i % 3)));
    using model = plain();
    const [{ nll }] = await steps(model, { train: classes }, { ...whole, exampleWeights: weights });
    const { weight, bias } = reference(weights, 0.5);
    const got = new Map(model.parameters.map(({ name }) => [name, model.store.get(name) as Float32Array]));
    for (const [name, want] of [["fc/weight", weight], ["fc/bias", bias]] as const) // biome-ignore format: one line
      want.forEach((v, i) => {
        expect(Math.abs(got.get(name)![i] - v)).toBeLessThan(1e-6);
      });
    expect(nll).toBeCloseTo(Math.log(3), 6); // all examples cost the same at zero, so the weights' mean is seen
  });

  it("a weight of zero makes an example's target indifferent", async () => {
    const weights = Array.from({ length: COUNT }, (_, i) => Number(i !== 3 && i !== 10));
    const changed = makeDataset({
      ...classes,
      labels: Array.from(classes.targets, (t, i) => (weights[i] ? t : 2 - t)),
      targets: undefined,
      targetShape: undefined,
    } as never);
    const fitted = async (train: typeof classes) => {
      using model = tiny();
      await fit(model, { train }, { ...many, exampleWeights: weights });
      return bits(model);
    };
    expect(await fitted(changed as typeof classes)).toEqual(await fitted(classes));
  });

  it("that are all alike give the bits of none: each becomes exactly 1", async () => {
    const fitted = async (exampleWeights?: ArrayLike<number>) => {
      using model = tiny();
      await fit(model, { train: classes }, { ...many, ...(exampleWeights ? { exampleWeights } : {}) });
      return bits(model);
    };
    const none = await fitted();
    expect(await fitted(Array(COUNT).fill(5))).toEqual(none);
    expect(await fitted(Float32Array.from(classes.targets, () => 0.1))).toEqual(none);
    const balanced = await fitted(classWeights(classes));
    expect(balanced).not.toEqual(none);
  });

  it("that make no sense are refused", async () => {
    using model = tiny();
    const refused = (exampleWeights: never) => fit(model, { train: classes }, { ...many, exampleWeights });
    await expect(refused([1, 2] as never)).rejects.toThrow(/expected 24 exampleWeights.*received 2/);
    await expect(refused(Array(COUNT).fill(0) as never)).rejects.toThrow(/not all zero/);
    await expect(refused(Array(COUNT).fill(-1) as never)).rejects.toThrow(/weight 0 of exampleWeights/);
    await expect(refused({ a: 1 } as never)).rejects.toThrow(/24 exampleWeights/);
    await expect(refused("balanced" as never)).rejects.toThrow(/exampleWeights as object/);
  });
});

const many: FitOptions = { epochs: 2, batchSize: 7, samples: 2, seed: 3, learningRate: 0.01 };
const tiny = (): Model =>
  new Model({
    name: "tiny",
    input: [4, 4, 1],
    likelihood: categorical(3),
    preprocess: unit,
    build: (x) => bayesLinear(softplus(bayesLinear(flatten(x), 5)), 3),
  });

describe("classWeights", () => {
  const sums = (weights: Float32Array) => {
    const sum: Record<string, number> = {};
    classes.targets.forEach((t, i) => {
      sum[classes.classes[t]] = (sum[classes.classes[t]] ?? 0) + weights[i];
    });
    return sum;
  };

  it("balanced: the classes that occur count alike, with mean 1", () => {
    const weights = classWeights(classes, "balanced");
    expect(weights).toHaveLength(COUNT);
    const { a, b } = sums(weights); // 20 and 4 of 24; nobody is "none"
    expect(a).toBeCloseTo(COUNT / 2, 5);
    expect(b).toBeCloseTo(COUNT / 2, 5);
    expect(classWeights(classes)).toEqual(weights);
  });

  it("by name; a class that is not named counts 1", () => {
    expect(sums(classWeights(classes, { b: 5 }))).toEqual({ a: 20, b: 20 });
    expect(sums(classWeights(classes, { a: 0, none: 3 }))).toEqual({ a: 0, b: 4 });
    expect(sums(classWeights(classes, {}))).toEqual({ a: 20, b: 4 });
  });

  it("names the classes when one is unknown, and refuses what is none", () => {
    expect(() => classWeights(classes, { B: 5 })).toThrow(
      '[classWeights] expected classes among a, b, none, those of data set letters, received "B"',
    );
    expect(() => classWeights(classes, { b: -1 })).toThrow(/weight of class b to be a finite number >= 0, received -1/);
    expect(() => classWeights(classes, { b: Number.NaN })).toThrow(/class b/);
    expect(() => classWeights(classes, { b: "5" } as never)).toThrow(/class b/);
    expect(() => classWeights(classes, "Balanced" as never)).toThrow(/"balanced", or weights by class name/);
    expect(() => classWeights(classes, [1, 2, 3] as never)).toThrow(/"balanced", or weights by class name/);
    expect(() => classWeights(numbers([2]) as never)).toThrow(/expected a data set of classes.*numbers/);
    expect(() => classWeights(undefined as never)).toThrow(/expected a data set/);
  });
});

describe("a fit that fails before its first step", () => {
  it("leaves no knowledge in the model", async () => {
    using model = new Model({
      name: "norm",
      input: [4, 4, 1],
      likelihood: gaussian(),
      build: (x) => linear(batchNorm2d(linear(flatten(x), 4)), 2),
    });
    const train = subset(
      numbers([2]),
      Array.from({ length: 9 }, (_, i) => i),
    );
    await expect(fit(model, { train }, { batchSize: 8 })).rejects.toThrow(/a last batch of one example/);
    expect(model.preprocess).toBeUndefined();
    expect(model.likelihood.config).toEqual({ kind: "gaussian", noise: "learned" });
    await fit(model, { train }, { batchSize: 9, epochs: 1 });
    expect(model.preprocess).toBeDefined();
  });
});
