// What is fitted after training, on validation images: a temperature, and conformal sets and intervals. Models whose outputs are
// their images, so that the truth is known.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { saveModel } from "../../lib/checkpoints/open.ts";
import { makeDataset } from "../../lib/data/dataset.ts";
import { importWeights } from "../../lib/import/weights.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { bernoulli } from "../../lib/likelihoods/bernoulli.ts";
import { type Categorical, categorical } from "../../lib/likelihoods/categorical.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { likelihoodOf } from "../../lib/likelihoods/known.ts";
import { toBayesian, toFrequentist } from "../../lib/models/convert.ts";
import { Model } from "../../lib/models/model.ts";
import { fillGaussians } from "../../lib/native/gaussians.ts";
import { exportOnnx } from "../../lib/onnx/export.ts";
import { verifyOnnx } from "../../lib/onnx/verify.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { scale } from "../../lib/ops/scale.ts";
import { conformal, quantile } from "../../lib/predict/conformal.ts";
import { evaluate, predict } from "../../lib/predict/predict.ts";
import { fitTemperature } from "../../lib/predict/temperature.ts";
import { prune } from "../../lib/prune/prune.ts";
import { shrink } from "../../lib/prune/shrink.ts";
import { fit } from "../../lib/train/fit.ts";
import { STREAM_INIT } from "../../lib/util/philox.ts";
import { generator } from "../pure/report-kit.ts";

const C = 5;
const preprocess = { scale: [1], shift: [0] };
const normals = (n: number, seed: number) => fillGaussians(new Float32Array(n), { seed, stream: STREAM_INIT, row: 1 });

/** A network that gives its image, C values, back; `sure` times as large. */
function echo(sure = 1, bayesian = false): Model<Categorical> {
  const build = (x: Parameters<typeof flatten>[0]) =>
    scale((bayesian ? bayesLinear : linear)(flatten(x), C, { name: "fc" }), sure);
  const model = new Model({ name: "echo", input: [1, C, 1], likelihood: categorical(C), build, preprocess });
  const weight = bayesian ? "fc/weight/mu" : "fc/weight";
  model.store.set(
    weight,
    new Float32Array(C * C).map((_, i) => Number(i % (C + 1) === 0)),
  );
  return model;
}

/** n images whose class is drawn from the softmax of their values. */
function drawn(n: number, seed: number, spread = 2) {
  const images = normals(n * C, seed).map((z) => spread * z);
  const next = generator(seed + 1);
  const labels = Int32Array.from({ length: n }, (_, i) => {
    const p = images.subarray(i * C, (i + 1) * C).map((z) => Math.exp(z));
    let left = next() * p.reduce((a, b) => a + b, 0);
    return Math.min(C - 1, p.findIndex((v) => (left -= v) < 0) >>> 0);
  });
  return makeDataset({ name: `drawn ${seed}`, images, labels, shape: [1, C, 1], classes: C });
}

describe("a temperature", () => {
  it.each([0.5, 1, 2.5])("recovers that of a model whose logits are %s times too large", async (sure) => {
    using model = echo(sure);
    const found = await fitTemperature(model, drawn(6000, 3));
    expect(Math.abs(found.temperature / sure - 1)).toBeLessThan(0.08);
    expect(found.nll.after).toBeLessThanOrEqual(found.nll.before);
    expect(found.count).toBe(6000);
    expect(model.temperature).toBe(found.temperature === 1 ? undefined : found.temperature);
    const { metrics } = await evaluate(model, drawn(6000, 9));
    expect(metrics.ece).toBeLessThan(0.03);
    // fitted again it is the same: what the first one did is undone first
    const again = await fitTemperature(model, drawn(6000, 3));
    expect(again.temperature).toBeCloseTo(found.temperature, 2);
    expect(again.nll.before).toBeCloseTo(found.nll.before, 5);
  });

  it("is one of the mixture: the pooled NLL of validation images is no worse, and is the least nearby", async () => {
    using model = echo(3, true);
    const rho = model.store.get("fc/weight/rho") as Float32Array;
    model.store.set("fc/weight/rho", new Float32Array(rho.length).fill(-0.5));
    const valid = drawn(3000, 5);
    const nllAt = async (temperature: number) => {
      model.temperature = temperature;
      return (await evaluate(model, valid, { samples: 8 })).metrics.nll;
    };
    const found = await fitTemperature(model, valid, { samples: 8 });
    const { temperature: t } = found;
    expect(t).toBeGreaterThan(1.3);
    expect(await nllAt(t)).toBeCloseTo(found.nll.after, 6);
    expect(await nllAt(1)).toBeCloseTo(found.nll.before, 6);
    for (const other of [t * 0.97, t * 1.03]) expect(await nllAt(other)).toBeGreaterThan(found.nll.after);
  });

  it("splits its variance as before, and is in what is exported", async () => {
    using model = echo(2, true);
    model.temperature = 1.7;
    const images = normals(4 * C, 11);
    const p = await predict(model, { images, count: 4, shape: [1, C, 1] }, { samples: 6 });
    for (let i = 0; i < p.mean.length; i++)
      expect(p.epistemic[i] + p.aleatoric[i]).toBeCloseTo(p.mean[i] * (1 - p.mean[i]), 5);
    for (const mode of ["mean", "noise", "ensemble"] as const) {
      const bytes = exportOnnx(model, { mode, samples: 8 });
      expect((await verifyOnnx(model, bytes, images)).agrees).toBe(true);
      model.temperature = undefined;
      expect((await verifyOnnx(model, bytes, images)).agrees).toBe(false);
      model.temperature = 1.7;
    }
    expect(likelihoodOf(model.knowledge.likelihood).temperature).toBe(1.7);
  });

  it("takes a threshold back, and training takes it back with a note", async () => {
    using model = echo(2, true);
    const data = drawn(64, 2);
    model.threshold = { certainty: 0.5, minCoverage: 0.5, risk: 0, coverage: 1, count: 9 };
    model.temperature = 2;
    expect(model.threshold).toBeUndefined();
    const notes: string[] = [];
    await fit(model, { train: data }, { epochs: 1, callbacks: { onNote: (note) => notes.push(note) } });
    expect(model.temperature).toBeUndefined();
    expect(notes.join()).toMatch(/temperature was chosen for other weights and is gone/);
  });

  describe("goes with the weights that it was chosen for, and so does a threshold, with a warning", () => {
    const threshold = { certainty: 0.5, minCoverage: 0.5, risk: 0, coverage: 1, count: 9 };
    const file = join(mkdtempSync(join(tmpdir(), "bayescnn-chosen-")), "weights.safetensors");
    afterAll(() => rmSync(dirname(file), { recursive: true, force: true }));

    /** Gives the model that has other weights now. */
    const changes: Record<string, (model: Model<Categorical>) => Model<Categorical> | Promise<Model<Categorical>>> = {
      prune(model) {
        prune(model, { sparsity: 0.5 });
        return model;
      },
      importWeights(model) {
        saveModel(model, file);
        importWeights(model, file);
        return model;
      },
      shrink: (model) => shrink(model, { parameters: 0.6 }),
      toFrequentist,
      toBayesian: (model) => toBayesian(toFrequentist(model)),
    };
    /** Two layers, so that one can shrink. */
    const net = () =>
      new Model({
        ...{ name: "two", input: [1, C, 1], likelihood: categorical(C), preprocess },
        build: (x) => bayesLinear(bayesLinear(flatten(x), 8, { name: "fc1" }), C, { name: "fc2" }),
      });
    it.each(Object.keys(changes))("%s", async (name) => {
      using model = net();
      model.temperature = 2;
      model.threshold = threshold;
      const said: string[] = [];
      const warned = (warning: Error) => void (warning.name === "BayesWarning" && said.push(warning.message));
      process.on("warning", warned);
      using changed = await changes[name](model);
      await new Promise((resolve) => setImmediate(resolve)); // a warning is emitted in the next tick
      process.off("warning", warned);
      expect([changed.temperature, changed.threshold]).toEqual([undefined, undefined]);
      const sentence = (what: string) =>
        `the model's ${what} was chosen for other weights and is gone: choose it again`;
      expect(said).toEqual([sentence("temperature"), sentence("threshold")]);
      if (changed !== model) expect([model.temperature, model.threshold]).toEqual([2, threshold]);
    });

    it("but not where no weight changes", async () => {
      using model = net();
      model.temperature = 2;
      model.threshold = threshold;
      prune(model, { sparsity: 0 });
      using same = await shrink(model);
      for (const { temperature, threshold: kept } of [model, same]) expect([temperature, kept]).toEqual([2, threshold]);
    });
  });

  it("is refused where there are no logits, or is none", async () => {
    using numbers = new Model({
      input: [1, C, 1],
      likelihood: gaussian(),
      build: (x) => linear(flatten(x), 1, { name: "fc" }),
      preprocess,
    });
    const data = makeDataset({ name: "n", images: normals(9 * C, 1), targets: new Float32Array(9), shape: [1, C, 1] });
    await expect(fitTemperature(numbers, data)).rejects.toThrow(
      /expected a likelihood of logits .*received "gaussian"/,
    );
    expect(() => {
      numbers.temperature = 2;
    }).toThrow(/likelihood of logits/);
    for (const t of [0, -1, Number.NaN, Infinity])
      expect(() => categorical(3, { temperature: t })).toThrow(/temperature/);
    expect(() => categorical(3, { temprature: 2 } as never)).toThrow(/temprature/);
    expect(bernoulli({ labels: 2, temperature: 2 }).config.temperature).toBe(2);
    expect(bernoulli({ labels: 2, temperature: 1 }).config).not.toHaveProperty("temperature");
  });
});

describe("conformal sets", () => {
  /** Coverage over many draws of validation and test images, in standard errors from rank / (n + 1). */
  it.each([
    [1, 99, 0.9],
    [3, 99, 0.9],
    [3, 40, 0.8],
    [0.3, 200, 0.95],
  ])("hold what they promise, of a model %s times too sure, from %s images at %s", async (sure, n, coverage) => {
    using model = echo(sure);
    const [seeds, tests] = [150, 400];
    const all = drawn(seeds * (n + tests), 77);
    const prediction = await predict(model, all);
    const { quantileOf, covered } = byParts(prediction.mean, all.targets as Int32Array);
    let sum = 0;
    for (let s = 0; s < seeds; s++) {
      const first = s * (n + tests);
      const limit = quantileOf(first, n, coverage);
      sum += covered(first + n, tests, limit);
    }
    const k = Math.ceil((n + 1) * coverage);
    const expected = k / (n + 1); // exact: scores have no ties
    const spread = (expected * (1 - expected)) / (n + 2) + (expected * (1 - expected)) / tests;
    expect(Math.abs(sum / seeds - expected) / Math.sqrt(spread / seeds)).toBeLessThan(4);
    expect(expected).toBeGreaterThanOrEqual(coverage);
  });

  const byParts = (p: Float32Array, labels: Int32Array) => {
    const score = (i: number) => 1 - p[i * C + labels[i]];
    return {
      quantileOf: (first: number, n: number, coverage: number) =>
        quantile(
          "test",
          Float64Array.from({ length: n }, (_, i) => score(first + i)),
          coverage,
        ),
      covered: (first: number, n: number, limit: number) =>
        Array.from({ length: n }, (_, i) => Number(score(first + i) <= limit)).reduce((a, b) => a + b, 0) / n,
    };
  };

  it("are the classes whose score is within the limit, and grow with the coverage", async () => {
    using model = echo();
    const [valid, test] = [drawn(500, 1), drawn(2000, 2)];
    const prediction = await predict(model, test);
    let last = 0;
    for (const coverage of [0.5, 0.8, 0.9, 0.99]) {
      const sets = await conformal(model, valid, { coverage });
      const all = sets.of(prediction);
      for (const [n, set] of all.entries())
        for (let c = 0; c < C; c++) expect(set.includes(c)).toBe(1 - prediction.mean[n * C + c] <= sets.limit);
      const found = sets.test(prediction, test.targets);
      const hits = all.filter((set, n) => set.includes(test.targets[n])).length;
      expect(found.coverage).toBe(hits / test.count);
      expect(found.size).toBe(all.reduce((sum, set) => sum + set.length, 0) / test.count);
      expect(Math.abs(found.coverage - coverage)).toBeLessThan(0.06);
      expect(found.size).toBeGreaterThan(last);
      last = found.size;
    }
  });

  it("take the ceil((n + 1) coverage)-th smallest score, or refuse too few", async () => {
    const scores = Float64Array.from([0.5, 0.1, 0.4, 0.2, 0.3, 0.6, 0.7, 0.8, 0.9]);
    expect(quantile("t", scores, 0.9)).toBe(0.9);
    expect(quantile("t", scores, 0.5)).toBe(0.5);
    expect(quantile("t", scores, 0.51)).toBe(0.6);
    expect(() => quantile("t", scores, 0.91)).toThrow(/at least 11 validation images.*received 9/);
    using model = echo();
    await expect(conformal(model, drawn(20, 1), { coverage: 0.99 })).rejects.toThrow(/at least 99 validation images/);
    for (const coverage of [0, 1, 90])
      await expect(conformal(model, drawn(20, 1), { coverage })).rejects.toThrow(/coverage/);
    using labels = new Model({
      input: [1, C, 1],
      likelihood: bernoulli(),
      build: (x) => linear(flatten(x), 1, { name: "fc" }),
      preprocess,
    });
    const data = makeDataset({ name: "n", images: normals(9 * C, 1), targets: new Float32Array(9), shape: [1, C, 1] });
    await expect(conformal(labels, data)).rejects.toThrow(/classes or numbers.*received "bernoulli"/);
  });
});

describe("conformal intervals", () => {
  it("hold whole targets of several numbers, whatever the model takes the noise to be", async () => {
    const [n, tests, D] = [400, 4000, 3];
    const make = (count: number, seed: number) => {
      const images = normals(count * D, seed);
      const noise = normals(count * D, seed + 100);
      const targets = images.map((v, i) => v + 2 * noise[i]);
      return makeDataset({ name: `numbers ${seed}`, images, targets, targetShape: [D], shape: [1, D, 1] });
    };
    using model = new Model({
      input: [1, D, 1],
      likelihood: gaussian({ noise: 0.7 }), // it is 2
      build: (x) => linear(flatten(x), D, { name: "fc" }),
      preprocess,
    });
    model.store.set(
      "fc/weight",
      new Float32Array(D * D).map((_, i) => Number(i % (D + 1) === 0)),
    );
    const made = await conformal(model, make(n, 1), { coverage: 0.9 });
    const test = make(tests, 2);
    const { prediction, targets } = await evaluate(model, test);
    const { low, high } = made.of(prediction);
    let inside = 0;
    for (let i = 0; i < tests; i++)
      inside += Number(
        [0, 1, 2].every((d) => targets[i * D + d] >= low[i * D + d] && targets[i * D + d] <= high[i * D + d]),
      );
    const found = made.test(prediction, targets);
    expect(found.coverage).toBeCloseTo(inside / tests, 3);
    expect(Math.abs(found.coverage - 0.9)).toBeLessThan(4 * Math.sqrt(0.09 / n + 0.09 / tests));
    expect(found.size).toBeCloseTo(2 * made.limit * 0.7, 3);
  });
});
