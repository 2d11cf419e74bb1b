// Ways in which a tired user holds a likelihood wrong: one clear sentence each, and nothing changed.
import { describe, expect, it } from "vitest";
import { makeDataset } from "../../lib/data/dataset.ts";
import { normalizationOf } from "../../lib/data/prepare.ts";
import { linear } from "../../lib/layers/linear.ts";
import { bernoulli } from "../../lib/likelihoods/bernoulli.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { likelihoodOf } from "../../lib/likelihoods/known.ts";
import { laplace } from "../../lib/likelihoods/laplace.ts";
import type { Likelihood } from "../../lib/likelihoods/shared/likelihood.ts";
import { createModel } from "../../lib/models/create.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { evaluate, predict } from "../../lib/predict/predict.ts";
import { type FitData, fit } from "../../lib/train/fit.ts";
import { random } from "../ops/harness.ts";
import { bits } from "./train-kit.ts";

const COUNT = 12;
const next = random(6);
const images = Uint8Array.from({ length: COUNT * 4 }, () => Math.floor(next() * 256));
const parts = { images, shape: [2, 2, 1] as const };
const pattern = (values: number) => Array.from({ length: COUNT }, (_, i) => i % values);
const animals = (classes: readonly string[], labels = pattern(classes.length)) =>
  makeDataset({ ...parts, name: "animals", labels, classes });
const numbers = (each: number, names?: readonly string[], value = (i: number): number => i % 5) =>
  makeDataset({
    ...parts,
    name: "numbers",
    targets: Float32Array.from({ length: COUNT * each }, (_, i) => value(i)),
    targetShape: [each],
    ...(names ? { targetNames: names } : {}),
  });

const net = <L extends Likelihood>(likelihood: L, outputs = likelihood.outputs): Model<L> =>
  new Model({ name: "net", input: [2, 2, 1], likelihood, build: (x) => linear(flatten(x), outputs, { name: "fc" }) });

/** Refused by fit in the same words as by evaluate, with the model as it was. */
async function refused(likelihood: Likelihood, train: FitData["train"], message: RegExp | string): Promise<void> {
  using model = net(likelihood);
  const before = { bits: bits(model), knowledge: model.knowledge };
  const pattern = typeof message === "string" ? message : message.source;
  const said = typeof message === "string" ? message : message;
  await expect(fit(model, { train }), pattern).rejects.toThrow(said);
  await expect(evaluate(model, train), pattern).rejects.toThrow(said);
  expect({ bits: bits(model), knowledge: model.knowledge }).toEqual(before);
}

describe("a data set of another kind", () => {
  it("classes into a likelihood of numbers, numbers into one of classes", async () => {
    for (const likelihood of [gaussian(), laplace()])
      await refused(
        likelihood,
        animals(["cat", "dog"]),
        `expected numbers (made with targets) for likelihood ${likelihood.config.kind}, received the classes of data set animals`,
      );
    await refused(
      categorical(2),
      numbers(1),
      "expected a data set of classes (made with labels and classes) for likelihood categorical, received numbers with numbers as targets",
    );
    await refused(bernoulli({ labels: 3 }), animals(["a", "b", "c"]), /expected targets 0 or 1 for 3 labels/);
  });

  it("targets of another length or shape", async () => {
    await refused(gaussian({ names: ["a", "b", "c"] }), numbers(2), /expected targets of shape \[3\].*received \[2\]/);
    await refused(bernoulli({ labels: 2 }), numbers(3), /expected targets of shape \[2\].*received \[3\]/);
    await refused(categorical(3), animals(["a", "b", "c", "d"]), /expected classes among 0, 1, 2, received a, b, c, d/);
    for (const targets of [new Float32Array(COUNT + 1), new Float32Array(COUNT - 6), []])
      expect(() => makeDataset({ ...parts, targets })).toThrow(/expected as many targets for each of 12 images/);
    for (const targetShape of [[2], [], [0.5, 2], [-1, -1], ["1"]] as number[][])
      expect(() => makeDataset({ ...parts, targets: new Float32Array(COUNT * 3), targetShape })).toThrow(
        /every dimension of targetShape|targets, of shape/,
      );
    expect(() => makeDataset({ ...parts, labels: pattern(2).slice(1), classes: 2 })).toThrow(/expected 12 labels/);
  });

  it("labels of -1 and +1, NaN as a target, labels that are no whole numbers", async () => {
    await refused(
      bernoulli(),
      numbers(1, undefined, (i) => (i % 2 ? 1 : -1)),
      /targets from 0 to 1.*\(value 0\), received -1/,
    );
    expect(() => numbers(1, undefined, () => Number.NaN)).toThrow(/expected finite targets, received NaN/);
    expect(() => animals(["a", "b"], pattern(2).map((v) => v + 0.5))).toThrow(/label 0 to be an integer from 0 to 1, received 0.5/); // biome-ignore format: one line
  });
});

describe("options that make no sense", () => {
  it.each<[string, () => unknown, RegExp]>([
    ["one class", () => categorical(1), /\[categorical\] expected the number of classes to be an integer from 2/],
    ["one class by name", () => categorical(["cat"]), /at least 2 classes/],
    ["a class twice", () => categorical(["cat", "cat"]), /classes of different names/],
    ["no classes", () => (categorical as () => unknown)(), /at least 2 classes/],
    ["center without spread", () => gaussian({ center: [0] }), /center and spread together/],
    ["spread without center", () => laplace({ spread: [1] }), /center and spread together/],
    ["spread of 0", () => gaussian({ center: [0], spread: [0] }), /spread above 0/],
    ["noise 0", () => gaussian({ noise: 0 }), /noise above 0/],
    ["noise below 0", () => laplace({ noise: -1 }), /\[laplace\] expected noise/],
    ["noise NaN", () => gaussian({ noise: Number.NaN }), /noise/],
    ["noise in other words", () => gaussian({ noise: "fixed" as never }), /"learned" or "predicted", received "fixed"/],
    ["an option of another name", () => gaussian({ sigma: 1 } as never), /options among noise, names, center, spread/],
    ["a name that is none", () => gaussian({ names: [1] as never }), /names as a list of texts/],
    ["a name twice", () => gaussian({ names: ["x", "x"] }), /every name once/],
    ["labels of another kind", () => bernoulli({ labels: 0 }), /\[bernoulli\]/],
    ["an option of bernoulli's of another name", () => bernoulli({ names: ["a"] } as never), /options among labels/],
    ["an unknown kind", () => likelihoodOf({ kind: "poisson" }), /categorical, bernoulli, gaussian, laplace/],
    ["no kind", () => likelihoodOf({} as never), /a configuration with a kind/],
    [
      "a configuration with another option",
      () => likelihoodOf({ kind: "categorical", clases: 3 }),
      /at least 2 classes/,
    ],
  ])("%s", (_, make, message) => {
    expect(make).toThrow(message);
  });
});

describe("a model that does not fit its likelihood", () => {
  it("an output of another length", () => {
    expect(() => net(categorical(10), 9)).toThrow(/output of shape \[batch, 10\], one logit a class, received .*9/);
    expect(() => net(bernoulli({ labels: 4 }), 5)).toThrow(/output of shape \[batch, 4\], one logit a label/);
    expect(() => net(gaussian({ noise: "predicted" }), 3)).toThrow(/even last axis for predicted noise.*received .*3/);
    expect(() => net(gaussian({ names: ["a", "b"] }), 3)).toThrow(
      /3 names, one for each number of the output, received 2/,
    );
    expect(() => net(gaussian({ center: [1, 2], spread: [1, 2] }), 3)).toThrow(
      /center and spread of 3 numbers, or of one/,
    );
  });

  it("what is no likelihood where one is wanted", () => {
    const make = (likelihood: unknown) => () => net(likelihood as Likelihood, 2);
    expect(make({ kind: "gaussian" })).toThrow(
      "[model net] expected a likelihood, such as categorical(10) or gaussian(), received a configuration; likelihoodOf makes one of it",
    );
    expect(make(gaussian)).toThrow(/with its brackets, received function gaussian/);
    for (const value of ["gaussian", 10, null, undefined, ["a", "b"], {}])
      expect(make(value), String(value)).toThrow(/\[model( net)?\] expected (a likelihood, such as|likelihood as)/);
  });

  it("classes in place of a likelihood", () => {
    const options = { input: [2, 2, 1], classes: 10, build: flatten };
    expect(() => new Model(options as never)).toThrow(
      "[model] expected likelihood: categorical(classes), or another likelihood, in place of classes, received 10",
    );
    const both = { model: "lenet5", input: [28, 28, 1], classes: 10, likelihood: gaussian() };
    expect(() => createModel(both as never)).toThrow(/classes .* or else a likelihood, received both/);
    const lenet = (likelihood: unknown) => () =>
      createModel({ model: "lenet5", input: [28, 28, 1], likelihood } as never);
    expect(lenet(gaussian)).toThrow(/\[createModel\] expected a likelihood, .*with its brackets/);
    expect(lenet("gaussian")).toThrow(/\[createModel\] expected a likelihood/);
    expect(lenet({ kind: "gauss" })).toThrow(
      /expected one of categorical, bernoulli, gaussian, laplace, received gauss/,
    );
    expect(() => createModel({ model: "lenet5", input: [28, 28, 1], likelihood: gaussian({ noise: "predicted" }), outputs: 3 })).toThrow(/even last axis/); // biome-ignore format: one line
  });
});

/** A model that knows what a training set has taught it; untrained otherwise. */
async function informed<L extends Likelihood>(likelihood: L, train: FitData["train"]): Promise<Model<L>> {
  const model = net(likelihood);
  await fit(model, { train }, { epochs: 1 });
  return model;
}

describe("names", () => {
  it("of classes in another order are mapped, unknown ones refused with both lists", async () => {
    using model = await informed(categorical(3), animals(["ant", "bee", "cat"]));
    const there = await evaluate(model, animals(["ant", "bee", "cat"]));
    const other = await evaluate(model, animals(["cat", "ant", "bee"], pattern(3).map((v) => (v + 1) % 3))); // biome-ignore format: one line
    expect(other.targets).toEqual(there.targets);
    expect(other.metrics).toEqual(there.metrics);
    await expect(evaluate(model, animals(["ant", "bee", "dog"]))).rejects.toThrow(
      "[classes of animals] expected classes among ant, bee, cat, received ant, bee, dog, of which dog unknown",
    );
    await expect(evaluate(model, animals(["Ant", "bee", "cat"]))).rejects.toThrow(/Ant differs from ant in case alone/);
  });

  it("of labels and of numbers are mapped in the same way", async () => {
    const values = (i: number) => Number(i % 6 < 2);
    const swapped = (i: number) => values(i % 2 ? i - 1 : i + 1);
    for (const likelihood of [
      bernoulli({ labels: 2 }),
      gaussian({ names: ["x", "y"] }),
      laplace({ names: ["x", "y"] }),
    ]) {
      using model = await informed<Likelihood>(likelihood, numbers(2, ["x", "y"], values));
      const there = await evaluate(model, numbers(2, ["x", "y"], values));
      const other = await evaluate(model, numbers(2, ["y", "x"], swapped));
      expect(other.targets).toEqual(there.targets);
      expect(other.metrics).toEqual(there.metrics);
      const where = "[evaluate] expected targets named x, y, received x, z in data set numbers";
      await expect(evaluate(model, numbers(2, ["x", "z"], values))).rejects.toThrow(where);
      expect((await evaluate(model, numbers(2, undefined, values))).metrics).toEqual(there.metrics); // by position
    }
  });

  it("of numbers in another order give each its own units", async () => {
    const straight = numbers(2, ["x", "y"], (i) => (i % 2 ? 500 + i : i));
    const swapped = numbers(2, ["y", "x"], (i) => (i % 2 ? i - 1 : 501 + i));
    using a = await informed(gaussian({ names: ["x", "y"] }), straight);
    using b = await informed(gaussian({ names: ["x", "y"] }), swapped);
    expect(b.likelihood.config).toEqual(a.likelihood.config);
    expect(bits(b)).toEqual(bits(a));
  });

  it("of the one class that is asked about stay with it", async () => {
    using model = await informed(bernoulli(), animals(["cat", "dog"]));
    expect(model.likelihood.config).toEqual({ kind: "bernoulli", labels: ["dog"] });
    const there = await evaluate(model, animals(["cat", "dog"]));
    expect([...there.targets]).toEqual(pattern(2));
    const other = await evaluate(model, animals(["dog", "cat"], pattern(2).map((v) => 1 - v))); // biome-ignore format: one line
    expect(other.targets).toEqual(there.targets);
    await expect(evaluate(model, animals(["cat", "cow"]))).rejects.toThrow(
      '[evaluate] expected a class dog in data set animals, received ["cat", "cow"]',
    );
  });
});

it("floats for a model that was trained on bytes, and the other way round", async () => {
  const floats = { ...numbers(1), images: Float32Array.from(images, (v) => v / 255) };
  using bytes = await informed(gaussian(), numbers(1));
  await expect(evaluate(bytes, floats)).rejects.toThrow(/pixels as bytes from 0 to 255.*as the model was trained on/);
  await expect(predict(bytes, floats)).rejects.toThrow(/pixels as bytes/);
  await expect(fit(bytes, { train: floats })).rejects.toThrow(/pixels as bytes/);
  using real = await informed(gaussian(), floats);
  await expect(evaluate(real, numbers(1))).rejects.toThrow(/pixels as floats/);
  await expect(fit(real, { train: floats, valid: numbers(1) })).rejects.toThrow(/pixels as floats/);
});

it("a number or a channel that never varies is only centred, whatever its sum rounds to", async () => {
  // 0.1 is no float: the mean of many is not quite their value
  using model = net(gaussian({ names: ["fixed", "free"] }));
  const each = numbers(2, undefined, (i) => (i % 2 ? i : 0.1));
  const floats = { ...each, images: Float32Array.from(images, () => 0.1) };
  expect(normalizationOf(floats).scale).toEqual([1]);
  await fit(model, { train: floats }, { epochs: 1 });
  expect((model.likelihood.config.spread as number[])[0]).toBe(1);
  const { metrics } = await evaluate(model, floats);
  expect(Number.isFinite(metrics.nll)).toBe(true);
  // its errors vanish, and a learned sigma with them, as far down as the thousandth of the spread
  await fit(model, { train: floats }, { epochs: 1000, learningRate: 0.05 });
  const { prediction, metrics: later } = await evaluate(model, floats);
  expect(Math.sqrt(prediction.aleatoric[0])).toBeCloseTo(1e-3, 4);
  expect(Number.isFinite(later.nll)).toBe(true);
});
