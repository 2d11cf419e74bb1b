// A run that goes wrong: NaN, options and folders that do not fit, a busy model; and runs that go on after all.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSafetensors, writeSafetensors } from "../../lib/checkpoints/safetensors.ts";
import { makeDataset } from "../../lib/data/dataset.ts";
import { compile } from "../../lib/graph/compile.ts";
import { scale } from "../../lib/ops/scale.ts";
import { square } from "../../lib/ops/square.ts";
import { type FitOptions, fit as fitModel, type StepRecord } from "../../lib/train/fit.ts";
import { sgd } from "../../lib/train/optimizers.ts";
import { bits, common, data, eachRun, tinyBayes, tinyPlain, train } from "./train-kit.ts";

let runDir = "";
eachRun((folder) => {
  runDir = folder;
});

describe("a run that goes wrong", () => {
  it("names the op, the layer and the step of a NaN, and leaves the parameters of the step before", async () => {
    const run = async (epochs: number) => {
      using model = tinyPlain();
      const steps: StepRecord[] = [];
      const options = {
        ...common,
        epochs,
        chunk: 3,
        optimizer: sgd(),
        learningRate: 1e30,
        callbacks: { onStep: (r: StepRecord) => steps.push(r) },
      };
      const error = await fitModel(model, data, options).then(
        () => undefined,
        (e: Error) => e,
      );
      return { error, finite: model.parameters.every((p) => model.store.get(p.name).every(Number.isFinite)) };
    };
    const { error, finite } = await run(2);
    expect(error?.name).toBe("BayesError");
    expect(error?.message).toMatch(/^\[fit\] step [1-5]: .*(NaN|infin).*, made by \w+ \(layer (conv1|fc1)/);
    expect(finite).toBe(true);
  });

  it("finds a NaN made by a layer's own op", async () => {
    using model = tinyPlain({}, (h) => square(scale(h, 1e30)));
    const start = bits(model);
    await expect(fitModel(model, data, common)).rejects.toThrow(/^\[fit\] step 0: .*, made by square/);
    for (const { name } of model.parameters) expect(bits(model)[name]).toBe(start[name]);
  });

  it("tells a data set that is passed alone, a validation set that is the training set, and a threshold that is a number", async () => {
    using model = tinyBayes();
    await expect(fitModel(model, data.train as never, common)).rejects.toThrow(
      "[fit] expected { train, valid } as the data, received a data set: fit(model, { train: it })",
    );
    const notes: string[] = [];
    const callbacks = { onNote: (sentence: string) => notes.push(sentence) };
    await fitModel(model, { train: data.train, valid: data.train }, { ...common, epochs: 1, callbacks });
    expect(notes).toEqual(["the validation images are the training images: their figures say nothing about new ones"]);
    expect(() => {
      model.threshold = 0.9 as never;
    }).toThrow("[model tiny-bayes] expected a threshold from chooseThreshold, or undefined, received 0.9");
    expect(() => {
      model.threshold = { certainty: 0.9 } as never;
    }).toThrow("the threshold's risk");
    expect(model.threshold).toBeUndefined();
  });

  it("drops a threshold that was chosen for other weights, and keeps it where no step is made", async () => {
    using model = tinyBayes();
    const threshold = { certainty: 0.9, risk: 0, coverage: 1, count: 9 };
    model.threshold = threshold;
    await expect(fitModel(model, data, { ...common, batchSize: 10_000 })).rejects.toThrow("at least one batch");
    expect(model.threshold).toEqual(threshold);
    const notes: string[] = [];
    await fitModel(model, data, { ...common, epochs: 1, callbacks: { onNote: (note) => notes.push(note) } });
    expect(notes).toEqual(["the model's threshold was chosen for other weights and is gone: choose it again"]);
    expect(model.threshold).toBeUndefined();
  });

  it("refuses a second fit on the same model and goes on with the first", async () => {
    using model = tinyBayes();
    const first = fitModel(model, data, common);
    await expect(fitModel(model, data, common)).rejects.toThrow(
      /expected an idle model, received tiny-bayes, which another fit is training/,
    );
    await first;
    const alone = await train();
    expect(bits(model)).toEqual(alone.bits);
    await fitModel(model, data, { ...common, epochs: 1 });
  });

  it("refuses data and options that do not fit, before anything has changed", async () => {
    using model = tinyBayes();
    const start = bits(model);
    const small = makeDataset({ images: new Uint8Array(64), labels: [0], shape: [8, 8, 1], classes: 4 });
    const ten = makeDataset({ images: data.train.images, labels: data.train.targets, shape: [12, 12, 1], classes: 10 });
    const cases: [Partial<FitOptions>, object, RegExp][] = [
      [{}, { train: small }, /images of 12x12x1 for model tiny-bayes, received 8x8x1/],
      [{}, { train: ten }, /classes among 0, 1, 2, 3, received 0, 1, .* unknown/],
      [{}, { train: data.train, valid: small }, /images of 12x12x1/],
      [{ batchSize: 201 }, data, /at least one batch of 201 examples, received 200/],
      [{ epochs: 0 }, data, /epochs/],
      [{ batchSize: 0.5 }, data, /batchSize/],
      [{ samples: 0 }, data, /samples/],
      [{ seed: -1 }, data, /seed/],
      [{ precision: "fp16" as never }, data, /^\[fit\] expected precision "fp32" or "bf16", received "fp16"$/],
      [{ learningRate: Number.NaN }, data, /learning rate/],
      [{ beta: -1 }, data, /beta/],
      [{ clipNorm: 0 }, data, /clipNorm/],
      [{ normalize: { scale: [1], shift: [0] } } as never, data, /options among epochs, .*received "normalize"/],
      [{ monitor: "f1" }, data, /a monitor among accuracy, nll, .*or { name: "f1", better: "lower" or "higher" }/],
      [{ exampleWeights: [1, 2] }, data, /200 exampleWeights, one an example of data set squares, received 2/],
      [{ earlyStopping: { patience: 1 } }, { train: data.train }, /validation data for early stopping/],
      [{ resume: true }, data, /runDir together with resume/],
      [{ runDir: "/dev/null/run" }, data, /cannot make directory/],
    ];
    for (const [options, given, message] of cases)
      await expect(fitModel(model, given as typeof data, { ...common, ...options }), String(message)).rejects.toThrow(
        message,
      );
    expect(bits(model)).toEqual(start);
  });

  it("refuses a folder with another run in it", async () => {
    await train({ epochs: 1, runDir });
    await expect(train({ epochs: 1, runDir })).rejects.toThrow(/without a checkpoint, or resume: true/);
    const resume = { runDir, resume: true };
    await expect(train({ ...resume, seed: 8 })).rejects.toThrow(/a run with seed 8, received 7/);
    await expect(train({ ...resume, optimizer: sgd() })).rejects.toThrow(
      /a run with optimizer "sgd\(.*\)", received "adam/,
    );
    await expect(train({ ...resume, precision: "bf16" })).rejects.toThrow(
      /a run with precision "bf16", received "fp32"/,
    );
    await expect(train({ ...resume, batchSize: 16 })).rejects.toThrow(/a run with batchSize 16, received 32/);
    await expect(train(resume, () => tinyBayes({ norm: true }))).rejects.toThrow(/norm/);
    await expect(train(resume, tinyPlain)).rejects.toThrow(/tiny-plain/);
  });

  const precisions = ["fp32", "bf16"] as const;
  it.each(precisions)(
    "goes on with more epochs (%s), from the beginning where there is no checkpoint yet",
    async (p) => {
      const flat = { learningRate: 0.01, beta: 0.1, precision: p };
      const { bits: whole } = await train({ ...flat, epochs: 2 });
      const first = await train({ ...flat, epochs: 1, runDir, resume: true });
      expect(first.result.steps).toBe(7);
      const { result, steps, bits: parts } = await train({ ...flat, epochs: 2, runDir, resume: true });
      expect([result.steps, steps.length]).toEqual([14, 7]);
      expect(parts).toEqual(whole);
    },
  );

  it("warns when resumed on another instruction set", async () => {
    await train({ epochs: 1, runDir });
    const path = join(runDir, "checkpoint.safetensors");
    const { tensors, metadata } = readSafetensors(path);
    delete metadata.crc32;
    const checkpoint = metadata.checkpoint.replace(/"device":"[^"]*"/, '"device":"cpu-other"');
    writeSafetensors(path, new Map(tensors), { ...metadata, checkpoint });
    const warned = new Promise<Error>((resolve) => process.once("warning", resolve));
    await train({ epochs: 1, runDir, resume: true });
    expect((await warned).message).toMatch(/^resuming on cpu-\w+ a run of cpu-other/);
  });

  it("takes turns with whoever else runs a program on the model meanwhile", async () => {
    const { bits: alone } = await train({ chunk: 1 });
    using model = tinyBayes();
    using other = compile({ store: model.store }, { x: [1] }, ({ x }) => ({ y: square(x) }));
    const others: Promise<{ y: Float32Array }>[] = [];
    const onStep = () => others.push(other.runAsync({ x: 2 }, 2000));
    await fitModel(model, data, { ...common, chunk: 1, callbacks: { onStep: () => void onStep() } });
    for (const { y } of await Promise.all(others)) expect(y[1999]).toBe(4);
    expect(others.length).toBe(21);
    expect(bits(model)).toEqual(alone);
  });

  it("rejects what evaluate must not return", async () => {
    await expect(train({ evaluate: async () => ({ nll: Number.NaN }) })).rejects.toThrow(
      /finite figures of the validation set, received nll NaN/,
    );
    await expect(train({ evaluate: async () => ({ accuracy: 1 }) })).rejects.toThrow(
      /monitored figure "nll", received accuracy/,
    );
  });

  it("writes nothing without a run folder, and leaves no data in the store", async () => {
    using model = tinyBayes();
    await fitModel(model, data, { ...common, epochs: 1 });
    expect([...model.store.slots.keys()].filter((name) => name.startsWith("data/"))).toEqual([]);
    expect(existsSync(runDir)).toBe(false);
  });
});
