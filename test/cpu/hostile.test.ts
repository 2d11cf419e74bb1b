// Bad input to the functions people call: one clear sentence, and the model exactly as it was.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { loadCheckpoint, restore, saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { readSafetensors, writeSafetensors } from "../../lib/checkpoints/safetensors.ts";
import { makeDataset } from "../../lib/data/dataset.ts";
import { compile } from "../../lib/graph/compile.ts";
import { interpret } from "../../lib/graph/interpret.ts";
import { Store } from "../../lib/graph/store.ts";
import type { ClassPrediction } from "../../lib/likelihoods/shared/predictions.ts";
import { createModel, modelNames } from "../../lib/models/create.ts";
import type { Model } from "../../lib/models/model.ts";
import { cpu } from "../../lib/native/device.ts";
import { exportOnnx } from "../../lib/onnx/export.ts";
import { readMetadata } from "../../lib/onnx/metadata.ts";
import { verifyOnnx } from "../../lib/onnx/verify.ts";
import { relu } from "../../lib/ops/relu.ts";
import { evaluate, predict } from "../../lib/predict/predict.ts";
import { prune } from "../../lib/prune/prune.ts";
import { type FitOptions, fit } from "../../lib/train/fit.ts";
import { junk, junkOf, only, onlyAsync } from "../hostile.ts";
import { squares, tinyBayes } from "./train-kit.ts";

const folder = mkdtempSync(join(tmpdir(), "bayescnn-hostile-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const data = squares(24);
const above = (value: unknown, limit: number) => typeof value === "number" && value > limit;
/** Everything a model holds, to be compared. */
const state = ({ store }: Model) => ({
  slots: [...store.slots.values()].map((slot) => [slot.name, store.get(slot.name)]),
  streams: [...store.streams],
});

describe("options of any kind", () => {
  it("createModel", () => {
    const good = { model: "lenet5", input: [8, 8, 1], classes: 2 };
    const fields = [
      "model",
      "input",
      "classes",
      "bayesian",
      "activation",
      "posterior",
      "prior",
      "estimator",
      "kl",
      "seed",
    ];
    fc.assert(
      fc.property(fc.oneof(junk, junkOf(fields)), (given) => {
        const config = typeof given === "object" && given !== null ? { ...good, ...given } : given;
        void only(() => createModel(config as never).close());
      }),
      { numRuns: 150 },
    );
    expect(() => createModel({ ...good, input: [0, 8, 1] } as never)).toThrow(
      /\[createModel\] expected a valid input\.0 .*received 0/,
    );
    expect(() => createModel({ ...good, model: "vgg" } as never)).toThrow(new RegExp(modelNames[0]));
    expect(() => createModel({ ...good, input: [2 ** 20, 2 ** 20, 1] } as never)).toThrow(
      /memory|dimension|to be an integer/,
    );
  });

  it("fit", async () => {
    using model = tinyBayes();
    const before = state(model);
    const fields =
      "epochs batchSize optimizer learningRate beta samples seed clipNorm exampleWeights augment penalty monitor validateEvery earlyStopping callbacks checkpoint bestCheckpoint resume signal chunk".split(
        " ",
      );
    await fc.assert(
      fc.asyncProperty(junkOf(fields), async (given) => {
        const options = { epochs: 1, batchSize: 12, ...given } as never as FitOptions;
        const small = !(above(options.epochs, 2) || above(options.samples, 5));
        if (small && (await onlyAsync(() => fit(model, { train: data }, options))) === "refused")
          expect([...model.store.slots.keys()].filter((name) => name.startsWith("data/"))).toEqual([]);
      }),
      { numRuns: 120 },
    );
    expect(state(model).streams).toEqual(before.streams);
  });

  it("fit, predict and evaluate on data sets of any kind leave the model as it was", async () => {
    using model = tinyBayes();
    const before = state(model);
    const bad = fc.oneof(
      junk,
      junkOf(["images", "labels", "shape", "classes", "count"]).map((some) => ({ ...data, ...some })),
    );
    await fc.assert(
      fc.asyncProperty(bad, junkOf(["samples", "mode", "seed", "signal"]), async (set, options) => {
        if (above(options.samples, 10)) return;
        await onlyAsync(() => predict(model, set as never, { samples: 2 }));
        await onlyAsync(() => predict(model, data, { samples: 2, ...options } as never));
        await onlyAsync(() => evaluate(model, set as never, { samples: 2 }));
        if ((await onlyAsync(() => fit(model, { train: set } as never, { epochs: 1, batchSize: 99 }))) === "worked")
          throw new Error("a batch larger than the data was accepted");
      }),
      { numRuns: 80 },
    );
    expect(state(model)).toEqual(before);
  });

  it("prune and exportOnnx", () => {
    using model = tinyBayes();
    const before = state(model);
    fc.assert(
      fc.property(junkOf(["mode", "layout", "samples", "seed"]), (options) => {
        if (!above(options.samples, 50)) only(() => exportOnnx(model, options as never));
        only(() => exportOnnx(options as never));
      }),
      { numRuns: 80 },
    );
    for (const path of ["", "a\0b", 7, join(folder, "missing", "x.onnx"), folder])
      expect(only(() => exportOnnx(model, { path } as never))).toBe("refused");
    fc.assert(
      fc.property(junkOf(["score", "scope", "allowEmpty"]), fc.oneof(junk, fc.double()), (options, sparsity) => {
        if (typeof sparsity === "number" && sparsity >= 0 && sparsity < 1) return;
        only(() => prune(model, { sparsity: 2, ...options, ...(sparsity === undefined ? {} : { sparsity }) } as never));
      }),
      { numRuns: 80 },
    );
    expect(state(model)).toEqual(before);
  });

  it("verifyOnnx and readMetadata", async () => {
    using model = tinyBayes();
    const bytes = exportOnnx(model);
    await fc.assert(
      fc.asyncProperty(junk, fc.nat(bytes.length - 1), fc.nat(255), async (a, at, value) => {
        await onlyAsync(() => verifyOnnx(model, a as never, new Float32Array(144)));
        await onlyAsync(() => verifyOnnx(model, bytes, a as never));
        const changed = Uint8Array.from(bytes);
        changed[at] = value;
        only(() => readMetadata(changed));
        only(() => readMetadata(bytes.subarray(0, at)));
      }),
      { numRuns: 60 },
    );
  });
});

describe("labels and pixels", () => {
  const train = (changes: object) =>
    fit(model, { train: { ...data, ...changes } as never }, { epochs: 1, batchSize: 8 });
  const model = tinyBayes();
  afterAll(() => model.close());

  it("labels out of range are named before the first step", async () => {
    const before = state(model);
    for (const label of [-1, 4, 2 ** 31 - 1]) {
      const targets = Int32Array.from(data.targets);
      targets[5] = label;
      await expect(train({ targets })).rejects.toThrow(
        `[fit] expected label 5 to be an integer from 0 to 3, received ${label}`,
      );
      await expect(evaluate(model, { ...data, targets }, { samples: 1 })).rejects.toThrow(/label 5/);
    }
    expect(state(model)).toEqual(before);
  });

  it("NaN and infinite pixels end the run with the op that met them, and no parameter has changed", async () => {
    const before = state(model);
    for (const pixel of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const images = Float32Array.from(data.images, (p) => p / 255).fill(pixel, 0, 144 * 24);
      await expect(train({ images })).rejects.toThrow(/^\[fit\] step 0: .*(NaN|inf)/is);
      await expect(predict(model, { ...data, images }, { samples: 2 })).rejects.toThrow(/finite logits/);
      expect(() => makeDataset({ images, labels: data.targets, shape: [12, 12, 1], classes: 4 })).toThrow(
        /image 0 at value 0/,
      );
    }
    const after = state(model);
    expect(after.slots.filter(([name]) => !String(name).startsWith("optimizer/"))).toEqual(before.slots);
  });

  it("a failed prediction does not stand in the way of the next one", async () => {
    const shape = [12, 12, 1] as [number, number, number];
    await expect(predict(model, { count: 1, shape, images: Array(144).fill(0) as never })).rejects.toThrow(
      /Float32Array/,
    );
    await expect(predict(model, { ...data, count: 7 })).rejects.toThrow(/pixel values for 7 images/);
    expect((await predict(model, data, { samples: 2 })).count).toBe(24);
  });
});

describe("use after close, and while a run is under way", () => {
  const uses = (model: Model, file: string): Record<string, () => unknown> => ({
    fit: () => fit(model, { train: data }, { epochs: 1, batchSize: 8 }),
    predict: () => predict(model, data, { samples: 2 }),
    evaluate: () => evaluate(model, data, { samples: 2 }),
    prune: () => prune(model, { sparsity: 0.5 }),
    exportOnnx: () => exportOnnx(model, { path: `${file}.onnx` }),
    saveCheckpoint: () => saveCheckpoint(`${file}.safetensors`, model),
    restore: () => restore(model, loadCheckpoint(join(folder, "good.safetensors"))),
    compile: () => compile({ store: model.store }, { x: [2] }, ({ x }) => ({ y: relu(x) })),
    interpret: () =>
      interpret({ store: model.store }, { x: [2] }, { x: new Float32Array(2) }, ({ x }) => ({ y: relu(x) })),
  });
  const each = async (model: Model, message: RegExp, waiting: readonly string[] = []) => {
    for (const [name, use] of Object.entries(uses(model, join(folder, "never"))))
      if (!waiting.includes(name)) await expect((async () => use())(), name).rejects.toThrow(message);
    expect(readdirSync(folder).filter((name) => name.includes("never"))).toEqual([]);
  };

  it("closed: every use is refused, and nothing is written", async () => {
    const model = tinyBayes();
    saveCheckpoint(join(folder, "good.safetensors"), model);
    model.close();
    model.close();
    await each(model, /received one that was closed/);
  });

  it("running: every use is refused, the run goes on as if nobody had asked", async () => {
    const options = { epochs: 2, batchSize: 8, seed: 3, chunk: 6 };
    using alone = tinyBayes();
    await fit(alone, { train: data }, options);
    using model = tinyBayes();
    const run = fit(model, { train: data }, options);
    await each(
      model,
      /received one with a run under way \(fit of tiny-bayes\); await it|received tiny-bayes, which another fit is training/,
      ["predict", "evaluate"],
    );
    expect(() => model.close()).toThrow(/run under way \(fit of tiny-bayes\)/);
    await run;
    expect(state(model)).toEqual(state(alone));
  });

  it("a prediction may begin inside a prediction", async () => {
    using model = tinyBayes();
    const { logits: alone } = await predict(model, data, { samples: 2 });
    const inner: Promise<ClassPrediction>[] = [];
    const onProgress = () => inner.push(predict(model, data, { samples: 2 }));
    await predict(model, data, { samples: 2, onProgress });
    expect(inner.length).toBeGreaterThan(0);
    for (const { logits } of await Promise.all(inner)) expect(logits).toEqual(alone);
  });
});

describe("checkpoints", () => {
  it("with any byte changed, or cut anywhere, are refused or whole, and change nothing when refused", () => {
    using model = tinyBayes();
    using other = tinyBayes({ seed: 8 });
    const file = join(folder, "mutant.safetensors");
    saveCheckpoint(file, other);
    const bytes = readFileSync(file);
    const header = 8 + Number(bytes.readBigUInt64LE());
    let refused = 0;
    const attempt = (changed: Uint8Array) => {
      writeFileSync(file, changed);
      const before = state(model);
      if (only(() => restore(model, loadCheckpoint(file))) === "worked") return;
      refused++;
      expect(state(model)).toEqual(before);
    };
    fc.assert(
      fc.property(fc.oneof(fc.nat(header - 1), fc.nat(bytes.length - 1)), fc.nat(255), (at, value) => {
        const changed = Uint8Array.from(bytes);
        changed[at] = value;
        attempt(changed);
      }),
      { numRuns: 150 },
    );
    for (let cut = 0; cut < bytes.length; cut += Math.ceil(bytes.length / 40)) attempt(bytes.subarray(0, cut));
    expect(refused).toBeGreaterThan(40);
  });

  it("fit a model that was made with another seed, and refuse one stream for two nodes", () => {
    using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 2, seed: 1 });
    using other = createModel({ model: "lenet5", input: [28, 28, 1], classes: 2, seed: 2 ** 50 });
    const file = join(folder, "seed.safetensors");
    saveCheckpoint(file, other);
    restore(model, loadCheckpoint(file));
    expect(state(model)).toEqual(state(other));
    const streams = Object.fromEntries(model.store.streams);
    expect(() => model.store.setStreams({ ...streams, conv1: streams.conv2 })).toThrow(
      /a stream of its own for every node/,
    );
    expect(() => (model.store.streams as Map<string, number>).set("conv1", 1)).toThrow(TypeError);
    expect(Object.fromEntries(model.store.streams)).toEqual(streams);
    const { tensors, metadata } = readSafetensors(file);
    const about = JSON.parse(metadata.checkpoint);
    about.streams.conv1 = about.streams.conv2;
    writeSafetensors(file, tensors, { ...metadata, checkpoint: JSON.stringify(about) });
    expect(() => loadCheckpoint(file)).toThrow(/streams: a stream of its own for every node/);
  });

  it("go nowhere without a folder, and over no folder", () => {
    using model = tinyBayes();
    mkdirSync(join(folder, "taken"));
    for (const path of [join(folder, "no", "x.safetensors"), join(folder, "taken"), "", 5, undefined])
      expect(only(() => saveCheckpoint(path as string, model))).toBe("refused");
    for (const path of [join(folder, "no", "x.safetensors"), folder, "/dev/null", "", 5, undefined])
      expect(only(() => loadCheckpoint(path as string))).toBe("refused");
    expect(readdirSync(join(folder, "taken"))).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});

it("more memory than there is, is refused in a sentence", () => {
  using store = new Store(cpu());
  expect(() => store.define("huge", [2 ** 20, 2 ** 20, 64])).toThrow(
    /^\[store huge\] expected \S+ GiB of free memory, received /,
  );
  expect(store.slots.size).toBe(0);
});
