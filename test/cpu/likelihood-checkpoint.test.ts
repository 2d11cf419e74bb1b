// What a likelihood has learned (names, units, the scale of the noise) is in a checkpoint, and comes back bit for bit.
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadCheckpoint, restore, saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { makeDataset } from "../../lib/data/dataset.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import { bernoulli } from "../../lib/likelihoods/bernoulli.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { laplace } from "../../lib/likelihoods/laplace.ts";
import type { Likelihood } from "../../lib/likelihoods/shared/likelihood.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { evaluate } from "../../lib/predict/predict.ts";
import { type FitOptions, fit } from "../../lib/train/fit.ts";
import { random } from "../ops/harness.ts";
import { bits, eachRun } from "./train-kit.ts";

let folder = "";
eachRun((f) => {
  folder = f;
});

const COUNT = 30;
const next = random(8);
const parts = {
  images: Uint8Array.from({ length: COUNT * 4 }, () => Math.floor(next() * 256)),
  shape: [2, 2, 1] as const,
};
const labels = Array.from({ length: COUNT }, (_, i) => i % 3);
const classes = makeDataset({ ...parts, labels, classes: ["ant", "bee", "cat"] });
const pair = (value: () => number) =>
  makeDataset({ ...parts, targets: Float32Array.from({ length: COUNT * 2 }, value), targetNames: ["x", "y"] });
const flags = pair(() => Math.round(next()));
const numbers = pair(() => 500 + 20 * next());

const cases: readonly (readonly [string, () => Likelihood, typeof classes | typeof numbers, number])[] = [
  ["categorical", () => categorical(3), classes, 3],
  ["bernoulli", () => bernoulli({ labels: 2 }), flags, 2],
  ["gaussian, learned", () => gaussian(), numbers, 2],
  ["gaussian, given", () => gaussian({ noise: 3 }), numbers, 2],
  ["gaussian, predicted", () => gaussian({ noise: "predicted" }), numbers, 4],
  ["laplace, learned", () => laplace(), numbers, 2],
];
const options: FitOptions = { epochs: 4, batchSize: 8, seed: 2 };

describe.each(cases)("%s", (_, likelihood, train, outputs) => {
  const net = (of = likelihood()) =>
    new Model({ name: "net", input: [2, 2, 1], likelihood: of, build: (x) => bayesLinear(flatten(x), outputs) });

  it("is restored into a model that knew nothing", async () => {
    using model = net();
    await fit(model, { train }, options);
    const path = join(folder, "..", "model.safetensors");
    saveCheckpoint(path, model);
    using again = net();
    expect(again.knowledge).not.toEqual(model.knowledge);
    restore(again, loadCheckpoint(path));
    expect(again.knowledge).toEqual(model.knowledge);
    const [a, b] = [await evaluate(model, train), await evaluate(again, train)];
    expect(b.metrics).toEqual(a.metrics);
    expect(b.prediction.outputs).toEqual(a.prediction.outputs);
  });

  it("goes on after an interruption as if there had been none", async () => {
    using whole = net();
    await fit(whole, { train, valid: train }, options);
    using first = net();
    const stop = new AbortController();
    let steps = 0;
    const stopping = { chunk: 1, signal: stop.signal, callbacks: { onStep: () => ++steps === 6 && stop.abort() } };
    await fit(first, { train, valid: train }, { ...options, ...stopping, runDir: folder });
    using second = net();
    const { steps: all } = await fit(second, { train, valid: train }, { ...options, runDir: folder, resume: true });
    expect([steps, all]).toEqual([6, 16]);
    expect(bits(second)).toEqual(bits(whole));
    expect(second.knowledge).toEqual(whole.knowledge);
  });
});

it("one of another kind, units or noise is refused with both named, and nothing changes", async () => {
  const net = (likelihood: Likelihood) =>
    new Model({ name: "net", input: [2, 2, 1], likelihood, build: (x) => bayesLinear(flatten(x), 2) });
  using model = net(gaussian());
  await fit(model, { train: numbers }, options);
  const path = join(folder, "..", "gaussian.safetensors");
  saveCheckpoint(path, model);
  for (const other of [
    laplace(),
    bernoulli({ labels: 2 }),
    categorical(2),
    gaussian({ noise: 3 }),
    gaussian({ center: [0], spread: [1] }),
    gaussian({ names: ["y", "x"] }),
  ]) {
    using wrong = net(other);
    const before = { bits: bits(wrong), knowledge: wrong.knowledge };
    expect(() => restore(wrong, loadCheckpoint(path))).toThrow(
      /expected a model of likelihood \{.*received \{"kind":"gaussian"/,
    );
    expect({ bits: bits(wrong), knowledge: wrong.knowledge }).toEqual(before);
  }
});
