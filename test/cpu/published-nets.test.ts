// The published nets: their sizes and shapes, the parts they are built from, dropout that stays on, filter response norm, and
// what files keep of it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { compile } from "../../lib/graph/compile.ts";
import { f32, i32, type Tensor } from "../../lib/graph/node.ts";
import { input as inputLeaf } from "../../lib/graph/trace.ts";
import {
  type ArchitectureConfig,
  type ClassDataset,
  categorical,
  createModel,
  dropout,
  embeddedMnist,
  exportOnnx,
  filterResponseNorm2d,
  fit,
  flatten,
  linear,
  Model,
  makeDataset,
  modelNames,
  openModel,
  predict,
  saveModel,
} from "../../lib/index.ts";
import { alexnet, type Kit, kit, lenet5, resnet, resnet18 } from "../../lib/models/index.ts";
import { verifyOnnx } from "../../lib/onnx/index.ts";
import { random } from "../ops/harness.ts";

const next = random(29);
const values = (n: number) => Float32Array.from({ length: n }, () => 2 * next() - 1);
const made = (config: Omit<ArchitectureConfig, "input"> & Partial<ArchitectureConfig>, classes = 10) =>
  createModel({ input: [28, 28, 1], classes, ...config });
const net = (input: [number, number, number], build: (x: Tensor) => Tensor, classes = 10) =>
  new Model({ input, likelihood: categorical(classes), build });
const dir = mkdtempSync(join(tmpdir(), "bayescnn-nets-"));
afterAll(() => rmSync(dir, { recursive: true }));

describe("sizes", () => {
  // weights and biases (and a gain and an offset for each channel of a norm), counted from the papers' tables
  const counts: [string, [number, number, number], number, number][] = [
    ["lenet5-caffe", [28, 28, 1], 10, 431_080],
    ["alexnet-slim", [32, 32, 3], 10, 1_095_235],
    ["resnet20", [32, 32, 3], 10, 269_722], // He et al. 2016: 0.27M
    ["resnet18", [32, 32, 3], 10, 11_173_962],
    ["resnet18", [80, 80, 3], 1000, 11_689_512], // He et al. 2016: 11.7M
  ];
  it.each(counts)("%s of %j and %i classes has %i parameters", (model, input, classes, count) => {
    using plain = made({ model, input, bayesian: false }, classes);
    expect(plain.parameterCount).toBe(count);
  });
  it("a Bayesian twin has a mean and a rho for each weight and bias, norms stay plain", () => {
    for (const [model, norms] of [
      ["lenet5-caffe", 0],
      ["resnet20", 1376],
    ] as const) {
      // biome-ignore format: short
      using plain = made({ model, bayesian: false });
      using bayes = made({ model });
      expect(bayes.parameterCount).toBe(2 * plain.parameterCount - norms);
    }
  });
  it("the slim Bayesian AlexNet is about as large as the frequentist AlexNet", () => {
    using slim = made({ model: "alexnet-slim", input: [32, 32, 3] });
    using plain = made({ model: "alexnet", input: [32, 32, 3], bayesian: false });
    expect(slim.parameterCount / plain.parameterCount).toBeGreaterThan(0.99);
    expect(slim.parameterCount / plain.parameterCount).toBeLessThan(1.01);
  });
  it("large images go through the larger stem of resnet18", () => {
    const shape = (side: number) => {
      let features: readonly number[] = [];
      const look: Kit = { ...kit({ bayesian: false }), conv: (x, filters, ...rest) => {
        const y = kit({ bayesian: false }).conv(x, filters, ...rest);
        if (rest[1]?.name === "stage1/block1/conv1") features = y.shape;
        return y;
      } }; // biome-ignore format: short
      using _ = net([side, side, 1], (x) => resnet18(x, look, 2), 2);
      return features;
    };
    expect(shape(64)).toEqual([1, 64, 64, 64]);
    expect(shape(65)).toEqual([1, 17, 17, 64]); // half of 65 by the convolution, half of 33 by the pooling
  });
});

describe("a kit", () => {
  it("mixes a frequentist body with a Bayesian head, and takes the features before it", () => {
    const body = kit({ bayesian: false });
    using mixed = net([28, 28, 1], (x) => lenet5(x, { ...body, head: kit().head }, 10));
    expect(mixed.parameters.filter((p) => p.name.endsWith("/rho")).map((p) => p.name)).toEqual([
      "fc3/weight/rho",
      "fc3/bias/rho",
    ]);
    expect([mixed.bayesian, mixed.stochastic]).toEqual([true, true]);
    using features = net([28, 28, 1], (x) => lenet5(x, { ...body, head: (h) => h }, 10), 84);
    expect(features.outputShape).toEqual([84]);
  });
  it("builds residual nets of other depths", () => {
    using small = net([8, 8, 3], (x) => resnet(x, kit({ bayesian: false }), 10, { filters: [4, 8], blocks: [2, 1] }));
    const convolutions = small.parameters.filter(
      (p) => p.name.endsWith("conv1/weight") || p.name.endsWith("conv2/weight"),
    );
    expect(convolutions.map((p) => p.shape.join("x"))).toEqual(["3x3x3x4", ...new Array(4).fill("3x3x4x4"), "3x3x4x8", "3x3x8x8"]); // biome-ignore format: long
  });
  it("says what it does not take", () => {
    const refused = (build: () => unknown, text: string | RegExp) => expect(build).toThrow(text);
    refused(() => kit({ dropout: 1 }), "the rate of dropout");
    refused(() => kit({ monteCarloDropout: true }), "the rate of dropout beside monteCarloDropout, received none");
    refused(() => kit({ norm: "layer" as never }), 'norm "batch" or "filter-response", received "layer"');
    refused(() => kit(true as never), "options as an object");
    refused(() => made({ model: "lenet5", dropout: 0.5, dropoutAfter: ["conv3"] }), "[lenet5] expected dropoutAfter among conv1, conv2, fc1, fc2, received \"conv3\""); // biome-ignore format: long
    refused(() => made({ model: "lenet5", norm: "batch" }), "norm with resnet18, resnet20, mobilenet, vgg11, vgg16, the nets that have one, received it with lenet5"); // biome-ignore format: long
    const shape = { filters: [4, 8], blocks: [1] };
    refused(() => net([8, 8, 3], (x) => resnet(x, kit(), 10, shape)), "as many numbers of blocks as of filters");
    refused(
      () => net([8, 8, 3], (x) => resnet(x, kit(), 10, { filters: [8, 4], blocks: [1, 1] })),
      "filters of stage 2",
    );
  });
});

describe("dropout", () => {
  /** Where a net has it, by name. */
  const places = (config: Parameters<typeof made>[0]) => {
    using model = made({ input: [32, 32, 3], bayesian: false, ...config });
    return [...model.store.streams.keys()];
  };
  it("stands behind the layers that are named, by default wherever the net has a place for it", () => {
    const alexnets = [[], ["conv1"], ["conv1", "conv3"], undefined] as const; // the paper's 0, 1, 2 and 3 layers
    expect(alexnets.map((dropoutAfter) => places({ model: "alexnet", dropout: 0.5, dropoutAfter }))).toEqual([
      [],
      ["conv1/dropout"],
      ["conv1/dropout", "conv3/dropout"],
      ["conv1/dropout", "conv3/dropout", "conv5/dropout"],
    ]);
    expect(places({ model: "lenet5", dropout: 0.2 })).toEqual(
      ["conv1", "conv2", "fc1", "fc2"].map((n) => `${n}/dropout`),
    );
    expect(places({ model: "resnet20", dropout: 0.2 }).length).toBe(9);
    expect(places({ model: "alexnet" })).toEqual([]);
  });

  const images = { images: values(3 * 784), count: 3, shape: [28, 28, 1] as const };
  it("is off when predicting, unless it stays on: then every sample and image draws a mask of its own", async () => {
    using usual = made({ model: "lenet5", bayesian: false, dropout: 0.5 });
    expect([usual.bayesian, usual.stochastic]).toEqual([false, false]);
    expect((await predict(usual, images)).samples).toBe(1);
    using model = made({ model: "lenet5", bayesian: false, dropout: 0.5, monteCarloDropout: true });
    expect([model.bayesian, model.stochastic]).toEqual([false, true]);
    const all = await predict(model, images, { samples: 8, seed: 3 });
    expect(all.samples).toBe(8);
    const epistemic = [...all.epistemicTotal];
    expect(Math.min(...epistemic)).toBeGreaterThan(1e-6);
    expect(Math.max(...(await predict(usual, images)).epistemicTotal)).toBe(0);
    // the noise contract: an image alone, in other company, or with other launches gets the same
    const alone = await predict(model, { ...images, images: images.images.subarray(0, 784), count: 1 }, { samples: 8, seed: 3 }); // biome-ignore format: long
    expect(alone.probabilities).toEqual(all.probabilities.subarray(0, 10));
    const other = await predict(model, images, { samples: 8, seed: 4 });
    expect(other.probabilities).not.toEqual(all.probabilities);
    // two images with the same pixels do not share a mask
    const twice = new Float32Array(2 * 784);
    for (const at of [0, 784]) twice.set(images.images.subarray(0, 784), at);
    const both = await predict(model, { ...images, images: twice, count: 2 }, { samples: 1 });
    expect(both.probabilities.subarray(0, 10)).not.toEqual(both.probabilities.subarray(10));
    // its mean weights are the same net without dropout
    expect((await predict(model, images, { mode: "mean" })).probabilities).toEqual((await predict(usual, images)).probabilities); // biome-ignore format: long
  });

  it("scales what it keeps, so that the mean over samples is what dropout leaves off", () => {
    const build = (x: Tensor) => linear(dropout(flatten(x), 0.4, { always: true, name: "drop" }), 2, { name: "out" });
    using model = net([1, 1, 64], build, 2);
    using program = compile(
      { store: model.store },
      { x: [1, 1, 1, 64], rng: i32([4]), rows: i32([1]) },
      ({ x, rng, rows }) => ({
        drawn: model.apply(x, { mode: "sample", samples: 4000, noise: { rng, rows } }).output,
        mean: model.apply(x, { mode: "mean" }).output,
      }),
    );
    const { drawn, mean } = program.run({ x: values(64), rng: Int32Array.of(1, 2, -1, 0), rows: Int32Array.of(0) });
    for (const k of [0, 1]) {
      const column = Array.from({ length: 4000 }, (_, s) => drawn[2 * s + k]);
      const average = column.reduce((a, b) => a + b) / 4000;
      const spread = Math.sqrt(column.reduce((a, b) => a + (b - average) ** 2, 0) / 4000);
      expect(spread).toBeGreaterThan(0.05);
      expect(Math.abs(average - mean[k])).toBeLessThan((4 * spread) / Math.sqrt(4000));
    }
  });

  it("that stays on is exported as noise of its own, or refused where its noise cannot be an input", async () => {
    using model = made({ model: "lenet5", bayesian: false, dropout: 0.3, monteCarloDropout: true, dropoutAfter: ["fc1", "fc2"] }); // biome-ignore format: long
    const pixels = values(2 * 784);
    for (const mode of ["mean", "random", "ensemble"] as const) {
      const result = await verifyOnnx(model, exportOnnx(model, { mode, samples: 8 }), pixels, { runs: 300 });
      expect([mode, result.agrees]).toEqual([mode, true]);
    }
    expect(() => exportOnnx(model, { mode: "noise" })).toThrow(/expected mode "mean", "random" or "ensemble" for dropout that stays on/); // biome-ignore format: long
    using usual = made({ model: "lenet5", bayesian: false, dropout: 0.3 });
    expect(() => exportOnnx(usual, { mode: "ensemble" })).toThrow(/expected mode "mean"/);
  });
});

describe("filter response norm", () => {
  const shape = [2, 3, 4, 5] as const;
  it("is gamma x / sqrt(mean of squares + epsilon) + beta, not below tau, of each image and channel alone", () => {
    using model = net([3, 4, 5], (x) => linear(flatten(filterResponseNorm2d(x, { name: "n", epsilon: 0.01 })), 2), 2);
    const parts = { gamma: values(5), beta: values(5), tau: values(5) };
    for (const [part, v] of Object.entries(parts)) model.store.set(`n/${part}`, v);
    const x = values(120);
    using program = compile({ store: model.store }, { x: shape }, (t) => ({
      y: model.apply(t.x, { mode: "mean", training: true }).output,
    }));
    const { y } = program.run({ x });
    const w = model.store.get("linear_0/weight");
    const want = new Float64Array(4);
    for (let n = 0; n < 2; n++)
      for (let p = 0; p < 12; p++)
        for (let c = 0; c < 5; c++) {
          let squares = 0;
          for (let q = 0; q < 12; q++) squares += x[(n * 12 + q) * 5 + c] ** 2 / 12;
          const z = (parts.gamma[c] * x[(n * 12 + p) * 5 + c]) / Math.sqrt(squares + 0.01) + parts.beta[c];
          for (const k of [0, 1]) want[2 * n + k] += Math.max(z, parts.tau[c]) * w[2 * (5 * p + c) + k];
        }
    for (let i = 0; i < 4; i++) expect(y[i]).toBeCloseTo(want[i], 4);
  });

  it("makes a residual net whose training and prediction do the same, and trains", async () => {
    using model = made({ model: "resnet20", input: [8, 8, 3], norm: "filter-response" }, 2);
    expect([...model.store.slots.keys()].filter((name) => /norm\/(mean|variance)/.test(name))).toEqual([]);
    const noise = { rng: inputLeaf("rng", i32([4])), rows: inputLeaf("rows", i32([2])) };
    const x = inputLeaf("x", f32([2, 8, 8, 3]));
    expect(model.apply(x, { mode: "sample", training: true, noise }).output.shape).toEqual([2, 2]);
    const labels = Int32Array.from({ length: 64 }, (_, i) => i % 2);
    const pixels = Float32Array.from({ length: 64 * 192 }, (_, i) => next() + (Math.floor(i / 192) % 2));
    const data = makeDataset({ name: "two", images: pixels, labels, shape: [8, 8, 3], classes: 2 });
    const { history } = await fit(model, { train: data }, { epochs: 12, batchSize: 16, beta: 0 });
    expect(history.at(-1)!.nll).toBeLessThan(0.5 * history[0].nll);
  });
});

describe("a Bayesian residual net", () => {
  it("predicts as well as it trains from the first epoch on, by its defaults", async () => {
    // the embedded digits at half their size; with softplus the second figure is above that of a net that knows nothing
    const digits = embeddedMnist();
    const part = (data: ClassDataset, count: number) => {
      const images = Uint8Array.from({ length: count * 196 }, (_, i) => {
        const at = Math.floor(i / 196) * 784 + Math.floor((i % 196) / 14) * 56 + (i % 14) * 2;
        return (data.images[at] + data.images[at + 1] + data.images[at + 28] + data.images[at + 29]) / 4;
      });
      const labels = data.targets.slice(0, count) as Int32Array;
      return makeDataset({ name: data.name, images, labels, shape: [14, 14, 1], classes: 10 });
    };
    const data = { train: part(digits.train, 640), valid: part(digits.test, 200) };
    using model = made({ model: "resnet20", input: [14, 14, 1], seed: 1 });
    const large = { beta: 0.1, initialSigma: 0 }; // the recipe of a large set, on a small one
    const { history } = await fit(model, data, { epochs: 2, batchSize: 32, learningRate: 0.002, seed: 1, ...large });
    for (const { valid } of history) expect(valid!.nll).toBeLessThan(Math.log(10));
  }, 180_000);
});

describe("files", () => {
  it("keep every option of an architecture", () => {
    const configs: Parameters<typeof made>[0][] = [
      { model: "resnet20", input: [8, 8, 3], norm: "filter-response", dropout: 0.1, monteCarloDropout: true },
      { model: "lenet5-caffe", bayesian: false, dropout: 0.5, dropoutAfter: ["fc1"] },
      { model: "alexnet-slim", input: [32, 32, 1] },
    ];
    for (const config of configs) {
      const path = join(dir, `${config.model}.safetensors`);
      using model = made({ ...config, seed: 3 });
      saveModel(model, path);
      using again = openModel(path);
      expect(again.config).toEqual(model.config);
      expect(again.config).toMatchObject(config);
      expect(again.stochastic).toBe(model.stochastic);
      expect([...again.store.streams]).toEqual([...model.store.streams]);
    }
  });
  it("of a net of one's own are opened with its function", () => {
    const build = (x: Tensor) => alexnet(x, { ...kit({ bayesian: false }), head: kit().head }, 10, 0.1);
    const path = join(dir, "own.safetensors");
    using model = net([32, 32, 3], build);
    saveModel(model, path);
    using again = openModel(path, { build });
    expect(again.parameterCount).toBe(model.parameterCount);
  });
});

it("every published name of a classifier makes a Bayesian net and its twin", () => {
  // espcn gives pictures: super-resolution.test.ts; of VGG nets, which are large, the trace is looked at: pure/nets.test.ts
  for (const model of modelNames.filter((name) => !/^(espcn|vgg)/.test(name)))
    for (const bayesian of [true, false]) {
      using made = createModel({ model, input: [32, 32, 3], classes: 3, bayesian });
      expect([made.outputShape, made.bayesian, made.stochastic]).toEqual([[3], bayesian, bayesian]);
    }
});
