// What callers hold, while the model runs: changed during a call it changes nothing, and state that a file or a caller brings is
// looked at before any of it is taken over.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { gaussianPrior } from "../../lib/bayes/gaussianPrior.ts";
import { loadCheckpoint, restore, saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { openModel } from "../../lib/checkpoints/open.ts";
import { readSafetensors, writeSafetensors } from "../../lib/checkpoints/safetensors.ts";
import { subset } from "../../lib/data/dataset.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import * as graph from "../../lib/graph.ts";
import * as everything from "../../lib/index.ts";
import * as likelihoods from "../../lib/likelihoods/index.ts";
import * as metrics from "../../lib/metrics/index.ts";
import { createModel } from "../../lib/models/create.ts";
import * as onnx from "../../lib/onnx/index.ts";
import * as ops from "../../lib/ops/index.ts";
import { evaluate, predict } from "../../lib/predict/predict.ts";
import { prune } from "../../lib/prune/prune.ts";
import { fit } from "../../lib/train/fit.ts";
import * as train from "../../lib/train/index.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { cli } from "../cli-capture.ts";
import { testDevice } from "../device.ts";
import { junk, onlyAsync } from "../hostile.ts";
import { nullDevice } from "../null-device.ts";
import { bits, squares, tinyBayes } from "./train-kit.ts";

const folder = mkdtempSync(join(tmpdir(), "bayescnn-callers-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("programs", () => {
  it("compute what was passed, not what became of it", () => {
    using store = new Store(testDevice());
    const image = Float32Array.from({ length: 256 }, (_, i) => i);
    const kernel = [2, 2];
    const values = Float32Array.of(1);
    using program = compile({ store }, { x: [1, 16, 16, 1] }, ({ x }) => {
      const y = ops.maxPool2d(x, { kernel: kernel as [number, number] });
      const z = ops.add(y, constant(values));
      kernel[0] = kernel[1] = 4; // for the next layer
      values[0] = 1000;
      return { y, z, small: ops.maxPool2d(y, { kernel: kernel as [number, number] }) };
    });
    const { y, z, small } = program.run({ x: image });
    expect([...y.subarray(0, 3), y[63]]).toEqual([17, 19, 21, 255]);
    expect(z).toEqual(y.map((v) => v + 1));
    expect([...small]).toEqual([119, 127, 247, 255]);
  });

  it("take a number only as exact as its input has it", () => {
    using store = new Store(testDevice());
    using program = compile({ store }, { n: { shape: [], dtype: "i32" }, b: { shape: [], dtype: "u8" } }, (t) => t);
    expect(program.run({ n: -7, b: 255 })).toEqual({ n: Int32Array.of(-7), b: Uint8Array.of(255) });
    for (const n of [0.5, Number.NaN, 2 ** 31])
      expect(() => program.run({ n, b: 0 })).toThrow(/^\[run: input n\] expected the number to be an integer/);
    expect(() => program.run({ n: 0, b: 256 })).toThrow(/^\[run: input b\]/);
  });
});

describe("a model at work", () => {
  it("predicts and evaluates what it was given", async () => {
    using model = tinyBayes();
    const data = squares(20);
    const right = await evaluate(model, data, { samples: 2 });
    const asked = {
      ...data,
      images: data.images.slice(),
      targets: data.targets.slice(),
      shape: [12, 12, 1] as [number, number, number],
    };
    const [all, scored] = [predict(model, asked, { samples: 2 }), evaluate(model, asked, { samples: 2 })];
    asked.count = 3;
    asked.images.fill(0);
    asked.targets.fill(1);
    (asked.shape as number[]).length = 0;
    const prediction = await all;
    expect([prediction.count, prediction.logits]).toEqual([20, right.prediction.logits]);
    const { metrics, targets } = await scored;
    expect(metrics).toEqual(right.metrics);
    expect(targets).toEqual(data.targets);
  });

  it("is trained as it was told to", async () => {
    const data = { train: squares(48), valid: squares(16, 2) };
    const options = () => ({
      epochs: 2,
      batchSize: 16,
      seed: 3,
      earlyStopping: { patience: 5 },
      checkpoint: { epochs: 1 },
      monitor: { name: "nll", better: "lower" as "lower" | "higher" },
      exampleWeights: Array.from({ length: 48 }, (_, i) => 1 + (i % 3)),
      augment: { resizedCrop: { scale: [0.5, 1] as [number, number] } },
    });
    using alone = tinyBayes();
    const right = await fit(alone, data, options());
    using model = tinyBayes();
    const mine = options();
    const parts = { train: { ...data.train }, valid: { ...data.valid } };
    const result = fit(model, parts, {
      ...mine,
      callbacks: {
        onStep() {
          mine.earlyStopping.patience = -1;
          mine.monitor.better = "higher";
          parts.train.count = parts.valid.count = 1;
        },
      },
    });
    mine.exampleWeights.fill(0);
    mine.augment.resizedCrop.scale[0] = 1e9;
    mine.checkpoint.epochs = Number.NaN;
    expect((await result).history).toEqual(right.history);
    expect(bits(model)).toEqual(bits(alone));
  });

  it("refuses more predictions than there is memory for, before it computes any, and goes on", async () => {
    using model = tinyBayes();
    const images = new Uint8Array(144 * 100_000);
    const asked = predict(model, { images, count: 100_000, shape: [12, 12, 1] }, { samples: 65536 });
    const many = expect.objectContaining({
      code: "ERR_BAYES_MEMORY",
      message: expect.stringMatching(
        /^\[predict\] expected a prediction of at most \d+ bytes, received 104857600000 \(65536 samples of 100000 images, of 4 values at least\); \d+ samples would fit$/,
      ),
    });
    await expect(asked).rejects.toEqual(many);
    expect((await predict(model, squares(2), { samples: 2 })).count).toBe(2);
  });
});

/** A checkpoint's contents as another program would write them again: without the checksums. */
function unsummed(file: string) {
  const { tensors, metadata } = readSafetensors(file);
  const { crc32: _, ...rest } = metadata;
  return { tensors, metadata: rest };
}

describe("what is refused half-way", () => {
  it("leaves the model as it was: a prior whose moments no weight can have", () => {
    for (const moments of [
      { mean: 0, sigma: 0 },
      { mean: new Float32Array(1), sigma: 1 },
    ]) {
      using model = tinyBayes({ bayes: { prior: { ...gaussianPrior(), moments: () => moments } } });
      const before = bits(model);
      expect(() => prune(model, { sparsity: 0.5 })).toThrow(BayesError);
      expect(bits(model)).toEqual(before);
      expect([...model.store.slots.keys()].filter((name) => name.startsWith("mask/"))).toEqual([]);
    }
  });

  it("leaves the model as it was: a checkpoint that has been tampered with in memory", () => {
    using model = tinyBayes();
    using other = tinyBayes({ seed: 9 });
    const file = join(folder, "tampered.safetensors");
    saveCheckpoint(file, other);
    const good = loadCheckpoint(file);
    const before = bits(model);
    const [last] = [...good.tensors.keys()].slice(-1);
    const tensor = good.tensors.get(last)!;
    const tensors = (bad: unknown) => new Map([...good.tensors, [last, bad]]);
    for (const bad of [
      { ...good, tensors: tensors({ ...tensor, data: new Float32Array(1) }) },
      { ...good, tensors: tensors({ ...tensor, data: [1] }) },
      { ...good, streams: { a: -1 } },
      { ...good, model: undefined },
      { ...good, model: { ...good.model, threshold: 7 } },
      { ...good, model: { ...good.model, likelihood: undefined } },
    ]) {
      expect(() => restore(model, bad as never)).toThrow(BayesError);
      expect(bits(model)).toEqual(before);
    }
  });
});

it("validation images may be used again while fit runs", async () => {
  const history = async (change: boolean) => {
    using model = tinyBayes();
    const valid = squares(32, 5);
    const own = { ...valid, images: valid.images.slice(), targets: valid.targets.slice() };
    const run = fit(
      model,
      { train: squares(32), valid: own },
      { epochs: 3, batchSize: 16, chunk: 1, validationSamples: 2 },
    );
    if (change) own.images.fill(0);
    if (change) own.targets.fill(99);
    return (await run).history.map((epoch) => epoch.valid);
  };
  expect(await history(true)).toEqual(await history(false));
});

it("lists are read once, and values that a prior cannot have are named", () => {
  const data = squares(8);
  let reads = 0;
  const shifty = {
    length: 2,
    0: 1,
    get 1() {
      return reads++ ? 9999 : 2;
    },
  };
  expect(subset(data, shifty).images).toEqual(subset(data, [1, 2]).images);
  for (const bad of [-1, 0, Infinity, Number.NaN])
    expect(() => gaussianPrior({ sigma: new Map([["fc1/weight", Float32Array.of(1, bad)]]) })).toThrow(
      /sigma of fc1\/weight at 1 to be a finite number >= 1e-10/,
    );
  using store = new Store("cpu");
  store.define("v", [2], { values: "any" });
  expect(() => store.define("v", [2], { values: "not negative" })).toThrow(/values "any" as it was first defined/);
  store.onClose(() => {
    throw new Error("mine");
  });
  expect(() => store.close()).toThrow(expect.objectContaining({ name: "BayesError" }));
  expect(() => store.get("v")).toThrow(/open|closed/);
});

describe("state from a file", () => {
  it("that no model can have is refused by name and place, and nothing has changed", () => {
    using model = tinyBayes({ norm: true });
    prune(model, { sparsity: 0.5 });
    const file = join(folder, "state.safetensors");
    saveCheckpoint(file, model);
    const { tensors, metadata } = unsummed(file);
    const before = bits(model);
    for (const [name, value, message] of [
      [
        "norm1/variance",
        -0.25,
        /state\.safetensors: norm1\/variance\] expected finite values of at least 0, received -0\.25 at 1$/,
      ],
      ["mask/conv1/weight", 0.5, /mask\/conv1\/weight\] expected a mask of 0 and 1, received 0\.5 at 1$/],
      ["mask/fc1/weight", -1, /mask\/fc1\/weight\] expected a mask/],
      ["fc1/weight/rho", Number.NaN, /fc1\/weight\/rho\] expected finite values, received NaN at 1$/],
      ["fc1/bias/mu", Infinity, /fc1\/bias\/mu\] expected finite values, received Infinity at 1$/],
    ] as const) {
      const changed = new Map(tensors);
      const tensor = tensors.get(name)!;
      const data = Float32Array.from(tensor.data as Float32Array);
      data[1] = value;
      changed.set(name, { ...tensor, data } as never);
      writeSafetensors(file, changed, metadata);
      using fresh = tinyBayes({ norm: true, seed: 8 });
      const clean = bits(fresh);
      for (const target of [model, fresh]) expect(() => restore(target, loadCheckpoint(file)), name).toThrow(message);
      expect([bits(model), bits(fresh)]).toEqual([before, clean]);
      expect(() => model.store.set(name, data)).toThrow(/received .* at 1$/);
    }
    expect(bits(model)).toEqual(before);
  });

  it("such as a negative second moment of Adam is refused by a run that resumes", async () => {
    const runDir = join(folder, "run");
    const data = { train: squares(32) };
    const options = { epochs: 1, batchSize: 16, runDir };
    using model = tinyBayes();
    await fit(model, data, options);
    const file = join(runDir, "checkpoint.safetensors");
    const { tensors, metadata } = unsummed(file);
    const name = [...tensors.keys()].find((n) => n.startsWith("optimizer/adam/v/"))!;
    (tensors.get(name)!.data as Float32Array)[2] = -1;
    writeSafetensors(file, tensors, metadata);
    using other = tinyBayes();
    await expect(fit(other, data, { ...options, epochs: 2, resume: true })).rejects.toThrow(
      new RegExp(`${name}\\] expected finite values of at least 0, received -1 at 2$`),
    );
  });
});

it("a configuration of a size that nothing holds is one sentence of the command line", async () => {
  const dir = join(folder, "huge");
  mkdirSync(dir);
  const file = join(dir, "checkpoint.safetensors");
  using small = createModel({ model: "lenet5", input: [8, 8, 1], classes: 4 });
  saveCheckpoint(file, small);
  const { tensors, metadata } = unsummed(file);
  const config = (input: number[]) => ({
    schema: 2,
    version: "0.1.0",
    model: { ...small.config, outputs: undefined, classes: 4, input },
    data: { name: "mnist", identity: { train: "", test: "" }, seed: 0, train: 1, valid: 0, test: 1 },
    training: { epochs: 1, batchSize: 1, optimizer: "adam", learningRate: "0.1", samples: 1, validationSamples: 1, seed: 0, weights: "final" },
    testSamples: 1,
    testSeed: 0,
  }); // biome-ignore format: short
  for (const input of [
    [2 ** 20, 2 ** 20, 1],
    [2 ** 17, 2 ** 17, 3],
    [2 ** 40, 1, 1],
  ]) {
    writeFileSync(join(dir, "config.json"), JSON.stringify(config(input)));
    const about = JSON.parse(metadata.checkpoint);
    about.model.config.input = input;
    writeSafetensors(file, tensors, { ...metadata, checkpoint: JSON.stringify(about) });
    expect(() => openModel(file)).toThrow(/free memory|to be an integer from 1 to 1048576/);
    for (const command of ["info", "export", "evaluate"]) {
      const { code, stderr } = await cli(command, dir);
      expect([code, stderr.trim().split("\n")], command).toEqual([
        1,
        [expect.stringMatching(/free memory|to be an integer from 1 to/)],
      ]);
    }
  }
});

/** Readers and writers of files and what makes data sets are tried elsewhere; the rest is not for everybody or ends the others' work. */
const elsewhere =
  /^(load|get|make|save|write)[A-Z]|^(embeddedMnist|exportPosterior|inMemory|isStreamed|split|subset|restore|BayesError|RunError|setThreads)$/;

it("everything public takes anything badly, but well-mannered", async () => {
  using model = tinyBayes();
  const store = new Store(nullDevice());
  type Call = (...args: unknown[]) => unknown;
  const calls = new Map<string, Call>();
  for (const room of [everything, graph, likelihoods, metrics, onnx, train])
    for (const [name, f] of Object.entries(room)) {
      if (typeof f !== "function" || elsewhere.test(name)) continue;
      const make = /^class\b/.test(Function.prototype.toString.call(f));
      calls.set(name, (...args) => (make ? Reflect.construct(f, args) : Reflect.apply(f, undefined, args)));
    }
  for (const name of ["define", "get", "set", "delete", "slot", "tensor", "setStreams", "onClose"] as const)
    calls.set(`store.${name}`, (...args) => Reflect.apply(store[name] as Call, store, args));
  calls.set("model.apply", (...args) => Reflect.apply(model.apply as Call, model, args));
  const before = bits(model);
  const argument = fc.oneof(
    { weight: 4, arbitrary: junk },
    { weight: 1, arbitrary: fc.constantFrom<unknown>(model, model.likelihood, model.store, Float32Array.of(0.2, 0.8), Int32Array.of(0, 1)) },
  ); // biome-ignore format: short
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...calls), fc.array(argument, { maxLength: 4 }), async ([, call], args) => {
      await onlyAsync(async () => call(...args));
    }),
    { numRuns: 2000 },
  );
  expect(bits(model)).toEqual(before);
});
