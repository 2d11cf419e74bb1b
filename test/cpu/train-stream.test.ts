// Data sets whose images are read when they are needed: the same bits as in memory, and what may go wrong with a reader.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  type AnyDataset,
  type ClassDataset,
  type Dataset,
  imageSize,
  makeDataset,
  type StreamedDataset,
  subset,
} from "../../lib/data/dataset.ts";
import { loadImageFolder } from "../../lib/data/folder.ts";
import { canonical, identity, overlap } from "../../lib/data/identity.ts";
import { inMemory, makeSource, normalizationOf } from "../../lib/data/source.ts";
import { split } from "../../lib/data/split.ts";
import { bayesConv2d } from "../../lib/layers/conv.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { Model } from "../../lib/models/model.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { evaluate, predict } from "../../lib/predict/predict.ts";
import { Predictor } from "../../lib/predict/predictor.ts";
import { type FitOptions, fit } from "../../lib/train/fit.ts";
import { imageFolder, sharp } from "../images.ts";
import { bits, CLASSES, eachRun, squares, withoutWall } from "./train-kit.ts";

let folder = "";
eachRun((given) => {
  folder = given;
});

/** A small net that knows nothing of its data: pixels are normalized by what fit finds. */
const net = () =>
  new Model({
    name: "tiny",
    input: [12, 12, 1],
    likelihood: categorical(CLASSES),
    seed: 3,
    config: { model: "tiny" },
    build(x) {
      const h = maxPool2d(softplus(bayesConv2d(x, 4, 3, { name: "conv1", padding: 1 })), { kernel: 4 });
      return bayesLinear(flatten(h), CLASSES, { name: "fc1" });
    },
  });

type Read = (indices: Int32Array, signal?: AbortSignal) => Promise<Uint8Array | Float32Array>;

/** A set in memory behind a reader that answers late and out of order; `change` is put before it. */
function streamed(
  data: ClassDataset,
  change: (read: Read, indices: Int32Array, signal?: AbortSignal) => ReturnType<Read> = (read, indices) =>
    read(indices),
) {
  const { images, ...about } = data;
  const size = imageSize(data.shape);
  let late = 0;
  const read: Read = async (indices) => {
    for (let i = (late = (late + 5) % 7); i > 0; i--) await new Promise((resolve) => setImmediate(resolve));
    const out = images.slice(0, indices.length * size);
    indices.forEach((i, at) => {
      out.set(images.subarray(i * size, (i + 1) * size), at * size);
    });
    return out;
  };
  return makeSource({
    ...about,
    pixels: images instanceof Uint8Array ? "u8" : "f32",
    read: (indices, signal) => change(read, indices, signal),
  });
}

const floats = (data: ClassDataset): ClassDataset =>
  makeDataset({ ...data, images: Float32Array.from(data.images, (x) => x / 100 - 1) });

/** A reader that does as it is told from some moment on. */
function unruly(data: ClassDataset) {
  const told: { now?: (indices: Int32Array, signal?: AbortSignal) => ReturnType<Read> | undefined; calls: number } = {
    calls: 0,
  };
  const source = streamed(data, (read, indices, signal) => {
    told.calls++;
    return told.now?.(indices, signal) ?? read(indices);
  });
  return { told, source };
}

const common = { epochs: 2, batchSize: 48, seed: 5, validationSamples: 2 } as const;
const data = { train: squares(200), valid: squares(90, 2) };

async function trained(train: AnyDataset, valid: AnyDataset | undefined, options: FitOptions = {}, name = "run") {
  using model = net();
  const runDir = `${folder}-${name}`;
  const result = await fit(model, { train, valid }, { ...common, runDir, ...options });
  return {
    result: { ...result, wall: undefined },
    bits: bits(model),
    checkpoint: readFileSync(join(runDir, "checkpoint.safetensors")).toString("base64"),
    metrics: withoutWall(readFileSync(join(runDir, "metrics.jsonl"), "utf8")),
  };
}

describe("training on a streamed set", () => {
  it.each([
    ["bytes", (d: ClassDataset) => d, {}],
    [
      "floats, more samples, weights, steps of their own",
      floats,
      { samples: 2, chunk: 1, exampleWeights: Array.from({ length: 200 }, (_, i) => 1 + (i % 3)) },
    ],
    ["without the last batch, long chunks", (d: ClassDataset) => d, { dropLast: true, chunk: 50, epochs: 3 }],
    [
      "every augmentation",
      (d: ClassDataset) => d,
      {
        epochs: 3,
        augment: {
          shift: 1,
          flip: true,
          resizedCrop: true,
          rotate: 10,
          brightness: 0.2,
          contrast: 0.2,
          cutout: 2,
          mixup: 0.4,
        },
      },
    ],
    ["early stopping and the best weights", floats, { epochs: 6, earlyStopping: { patience: 1 }, learningRate: 0.3 }],
  ] as const)("has the bits of the same images in memory: %s", async (_, kind, options) => {
    const [train, valid] = [kind(data.train), kind(data.valid)];
    const resident = await trained(train, valid, options, "resident");
    const stream = await trained(await streamed(train), await streamed(valid), options, "stream");
    expect(stream).toEqual(resident);
    const mixed = await trained(await streamed(train), valid, options, "mixed");
    expect(mixed).toEqual(resident);
  });

  it("reads at most some hundred examples a call and a few calls at a time, ahead of the steps and no further", async () => {
    let [now, most, longest, read] = [0, 0, 0, 0];
    const source = await streamed(squares(1000), async (get, indices) => {
      [most, longest, read] = [Math.max(most, ++now), Math.max(longest, indices.length), read + indices.length];
      await new Promise((resolve) => setTimeout(resolve, 1));
      now--;
      return get(indices);
    });
    const control = new AbortController();
    read = 0;
    using model = net();
    const { steps } = await fit(
      model,
      { train: source },
      {
        ...common,
        batchSize: 300,
        epochs: 50,
        signal: control.signal,
        callbacks: { onStep: ({ step }) => step === 4 && control.abort() },
      },
    );
    expect([longest, steps < 30]).toEqual([256, true]);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(16);
    expect(read / 2.7).toBeLessThan((steps + 20) * 300); // statistics, too
    const before = read;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([read, now]).toEqual([before, 0]); // nobody goes on reading
  });

  it("lets two runs share a source", async () => {
    const source = await streamed(data.train);
    const both = await Promise.all(["a", "b"].map((name) => trained(source, undefined, {}, name)));
    expect(both[0]).toEqual(both[1]);
    expect(both[0].checkpoint).toBe((await trained(data.train, undefined, {}, "c")).checkpoint);
  });

  it("stops with a checkpoint when an example cannot be read, and goes on from there when it can", async () => {
    const whole = await trained(data.train, data.valid, { epochs: 6 }, "whole");
    const { told, source } = unruly(data.train);
    const train = await source;
    let steps = 0;
    const onStep = ({ step }: { step: number }) => {
      steps = step + 1;
      if (step === 5)
        told.now = async (indices) =>
          indices.includes(17) ? Promise.reject(new Error("disk on fire")) : train17(indices);
    };
    const { read } = await streamed(data.train);
    const train17 = (indices: Int32Array) => read(indices);
    using model = net();
    const options = { ...common, epochs: 6, runDir: `${folder}-broken`, chunk: 1, checkpoint: { epochs: 100 } };
    await expect(fit(model, { train, valid: data.valid }, { ...options, callbacks: { onStep } })).rejects.toThrow(
      /^\[data set squares\] expected the pixels of example 17, received an error: disk on fire; the checkpoint in .* is that after \d+ steps$/,
    );
    expect(steps).toBeGreaterThan(5);
    expect(existsSync(join(`${folder}-broken`, "checkpoint.safetensors"))).toBe(true);
    told.now = undefined;
    const resumed = await trained(train, data.valid, { ...options, resume: true }, "broken");
    expect({ ...resumed, result: undefined }).toEqual({ ...whole, result: undefined });
  });

  it.each(["training", "validation"])(
    "stops when it is told to while a reader never answers in %s, and goes on later",
    async (where) => {
      const whole = await trained(data.train, data.valid, { epochs: 6 }, "whole");
      const [train, valid] = [unruly(data.train), unruly(data.valid)];
      const sets = { train: await train.source, valid: await valid.source };
      const control = new AbortController();
      const { told } = where === "training" ? train : valid;
      const hang = () => {
        setTimeout(() => control.abort(), 50);
        return new Promise<Uint8Array>(() => {});
      };
      const onStep = ({ step }: { step: number }) => {
        if (step >= 1) told.now = hang;
      };
      using model = net();
      const options = { chunk: 1, signal: control.signal, callbacks: { onStep }, runDir: `${folder}-hung` };
      const stopped = await fit(model, sets, { ...common, epochs: 6, ...options });
      expect(stopped).toMatchObject({ end: "aborted", stopped: true });
      if (where === "validation") expect(stopped).toMatchObject({ steps: 5, history: [] });
      told.now = undefined;
      const resumed = await trained(sets.train, sets.valid, { epochs: 6, resume: true }, "hung");
      expect({ ...resumed, result: undefined }).toEqual({ ...whole, result: undefined });
    },
  );

  it("stops during the statistics as if nothing had been", async () => {
    const { told, source } = unruly(data.train);
    const train = await source;
    const control = new AbortController();
    told.now = () => {
      setTimeout(() => control.abort(), 10);
      return new Promise(() => {});
    };
    using model = net();
    const before = bits(model);
    const runDir = `${folder}-early`;
    expect(await fit(model, { train }, { ...common, runDir, signal: control.signal })).toMatchObject({
      stopped: true,
      steps: 0,
    });
    expect([bits(model), model.preprocess, existsSync(join(runDir, "checkpoint.safetensors"))]).toEqual([
      before,
      undefined,
      false,
    ]);
    told.now = undefined;
    await fit(model, { train }, { ...common, runDir, resume: true });
    expect(model.preprocess).toEqual(normalizationOf(data.train));
  });

  it("refuses before anything is read: another run in the folder, a batch too large, pixels of two kinds, variations", async () => {
    await trained(data.train, undefined, {}, "old");
    const { told, source } = unruly(data.train);
    const train = await source;
    told.calls = 0;
    const cases = [
      [{ train }, { runDir: `${folder}-old` }, /a run folder without a checkpoint, or resume: true/],
      [{ train }, { batchSize: 201 }, /at least one batch of 201 examples, received 200/],
      [{ train, valid: floats(data.valid) }, {}, /fit, data set squares\] expected pixels as bytes/],
      [{ train }, { epoch: 3 }, /options among/],
    ] as const;
    for (const [sets, options, message] of cases) {
      using model = net();
      await expect(fit(model, sets, { ...common, ...options })).rejects.toThrow(message);
    }
    expect(told.calls).toBe(0);
  });

  it("does not resume on other data, and takes what it needs to know from the checkpoint on the same", async () => {
    const { told, source } = unruly(data.train);
    const train = await source;
    await trained(train, undefined, { epochs: 1 }, "run");
    told.calls = 0;
    using model = net();
    const other = await streamed(squares(200, 9));
    await expect(fit(model, { train: other }, { ...common, runDir: `${folder}-run`, resume: true })).rejects.toThrow(
      /expected a run with train /,
    );
    await trained(train, undefined, { epochs: 1, resume: true }, "run"); // is over: nothing left to read
    expect(told.calls).toBeLessThanOrEqual(20);
  });
});

describe.skipIf(sharp === undefined)("training on image files", () => {
  const { dir, png } = imageFolder("train-stream");

  it("has the bits of the same files in memory, and stops with a checkpoint when one is deleted", async () => {
    for (let i = 0; i < 80; i++) await png(`set/${"abcd"[i % 4]}/${i}.png`, 12, 12, [60 * (i % 4) + (i >> 3)]);
    const [root, options] = [join(dir, "set"), { epochs: 6, batchSize: 8, chunk: 2 } as const];
    const parts = (set: AnyDataset) => split(set, { valid: 16 }, 2);
    const { train, valid } = parts(await loadImageFolder(root));
    const streams = parts(await loadImageFolder(root, { stream: true, cacheBytes: 1000 }));
    const resident = await trained(train, valid, options, "files");
    expect(await trained(streams.train, streams.valid, options, "streamed-files")).toEqual(resident);

    const onStep = ({ step }: { step: number }) => step === 9 && rmSync(join(root, "b/1.png"));
    const runDir = `${folder}-deleted`;
    using model = net();
    await expect(fit(model, streams, { ...common, ...options, runDir, callbacks: { onStep } })).rejects.toThrow(
      /example \d+ \(.*b.1\.png\), received an error: no such file; the checkpoint in .* is that after \d+ steps$/,
    );
    expect(existsSync(join(runDir, "checkpoint.safetensors"))).toBe(true);
  });
});

describe("a streamed set", () => {
  it("has the identity, order, split, overlap and statistics of the set in memory", async () => {
    for (const kind of [(d: ClassDataset) => d, floats]) {
      const set = kind(data.train);
      const stream = await streamed(set);
      expect(identity(stream)).toBe(identity(set));
      expect(await normalizationOf(stream)).toEqual(normalizationOf(set));
      const pairs: [AnyDataset, Dataset][] = [[canonical(stream), canonical(set)]];
      const [a, b] = [split(stream, { valid: 0.3 }, 4), split(set, { valid: 0.3 }, 4)];
      pairs.push([a.train, b.train], [subset(a.valid, [3, 3, 1]), subset(b.valid, [3, 3, 1])]);
      for (const [mine, theirs] of pairs) {
        expect(identity(mine)).toBe(identity(theirs));
        expect(await inMemory(mine)).toEqual(theirs);
      }
      expect(overlap(stream, b.valid)).toEqual(overlap(set, b.valid));
      expect(overlap(b.valid, stream)).toEqual(overlap(b.valid, set));
    }
  });

  it("is predicted and evaluated with the bits of the set in memory", async () => {
    using model = net();
    await fit(model, data, { ...common, epochs: 1 });
    const many = squares(9000, 6);
    const stream = await streamed(many);
    const done: number[] = [];
    const [a, b] = [
      await predict(model, stream, { samples: 3, onProgress: (n) => done.push(n) }),
      await predict(model, many, { samples: 3 }),
    ];
    expect(Buffer.from(a.probabilities.buffer).equals(Buffer.from(b.probabilities.buffer))).toBe(true);
    expect(done.at(-1)).toBe(9000);
    expect(done).toEqual([...done].sort((x, y) => x - y));
    expect((await evaluate(model, stream, { samples: 3 })).metrics).toEqual(
      (await evaluate(model, many, { samples: 3 })).metrics,
    );
    const some = new Predictor(model, { samples: 2, maxBatch: 100 });
    expect((await some.outputs(stream)).logits).toEqual((await some.outputs(many)).logits);

    const control = new AbortController();
    const hung = { ...stream, read: () => new Promise<never>(() => {}) };
    const asked = predict(model, hung, { samples: 2, signal: control.signal, onProgress: () => control.abort() });
    setTimeout(() => control.abort(new Error("enough")), 10);
    await expect(asked).rejects.toThrow("enough");
    const huge = (count: number): StreamedDataset => ({ ...stream, count });
    const most = /expected a prediction of at most 2147483648 bytes, received /;
    await expect(predict(model, huge(2 ** 24), { samples: 65536 })).rejects.toThrow(most);
    await expect(predict(model, huge(2 ** 26), { samples: 8 })).rejects.toThrow(
      /received 8589934592 \(8 samples of 67108864 images of data set squares, of 4 values at least\); 2 samples would fit/,
    );
  });

  it("says what is wrong with what a reader gives, and with which example", async () => {
    const size = 144;
    const cases: [(indices: Int32Array) => unknown, RegExp][] = [
      [
        (i) => new Uint8Array(size * i.length - (i.includes(9) ? 1 : 0)),
        /expected 144 pixel values of example 9, received 143/,
      ],
      [
        (i) => (i.includes(9) ? new Float32Array(size * i.length) : new Uint8Array(size * i.length)),
        /expected the pixels of example 9 as a Uint8Array, received Float32Array/,
      ],
      [
        (i) => (i.includes(9) ? undefined : new Uint8Array(size * i.length)),
        /expected the pixels of example 9 as a Uint8Array, received undefined/,
      ],
      [
        (i) => {
          if (i.includes(9)) throw new Error("gone");
          return new Uint8Array(size * i.length);
        },
        /expected the pixels of example 9, received an error: gone/,
      ],
      [
        (i) => (i.includes(9) ? Promise.reject("no") : new Uint8Array(size * i.length)),
        /expected the pixels of example 9, received an error: no/,
      ],
      [
        (i) => (i.length > 1 ? Promise.reject(new Error("busy")) : new Uint8Array(size)),
        /expected the pixels of 20 examples, of which the first is example 0, received an error: busy/,
      ],
    ];
    const parts = {
      name: "cells",
      count: 20,
      shape: [12, 12, 1],
      pixels: "u8",
      labels: Array(20).fill(0),
      classes: 1,
    } as const;
    for (const [read, message] of cases)
      await expect(makeSource({ ...parts, read: read as Read })).rejects.toThrow(
        new RegExp(`^\\[data set cells\\] ${message.source}`),
      );
    const nan = {
      ...parts,
      pixels: "f32",
      read: async (i: Int32Array) => new Float32Array(size * i.length).fill(NaN, 150, 151),
    } as const;
    await expect(makeSource(nan)).rejects.toThrow(
      "[data set cells] expected finite pixels, received NaN in example 1 at value 6",
    );
    await expect(
      makeSource({ ...parts, labels: Array(20).fill(1), read: async () => new Uint8Array(0) }),
    ).rejects.toThrow(/label 0 to be an integer from 0 to 0, received 1/);
    await expect(makeSource({ ...parts, labels: [0], read: async () => new Uint8Array(0) })).rejects.toThrow(
      /20 labels, one for each image/,
    );
    await expect(
      makeSource({ ...parts, keys: new BigUint64Array(3), read: async () => new Uint8Array(0) }),
    ).rejects.toThrow(/keys as a BigUint64Array of 20/);
    await expect(makeSource({ ...parts, reed: 1 } as never)).rejects.toThrow(/options among .*read/);
    const signal = AbortSignal.abort(new Error("no more"));
    await expect(makeSource({ ...parts, signal, read: async () => new Uint8Array(0) })).rejects.toThrow("no more");
  });

  it("notices that an example is not what it was", async () => {
    const { told, source } = unruly(data.train);
    const stream = subset(await source, [5, 6, 7]);
    expect(await stream.read(Int32Array.of(2))).toEqual(data.train.images.subarray(7 * 144, 8 * 144));
    told.now = async (indices) => new Uint8Array(144 * indices.length);
    await expect(stream.read(Int32Array.of(2, 0))).rejects.toThrow(
      "[data set squares] expected the pixels that example 7 had when the set was opened, received others",
    );
    for (const wrong of [3, -1]) await expect(stream.read(Int32Array.of(wrong))).rejects.toThrow(/index 0/);
  });

  it("takes all parts of a set in memory, its background too", async () => {
    const { images, ...about } = makeDataset({ ...data.train, background: "red", notes: ["a note"] });
    const { count, shape } = about;
    const size = shape[0] * shape[1] * shape[2];
    const read = (indices: Int32Array) => {
      const out = new Uint8Array(indices.length * size);
      for (const [at, i] of indices.entries())
        out.set(images.subarray(i * size, (i + 1) * size) as Uint8Array, at * size);
      return out;
    };
    const whole = await makeSource({ ...about, count, pixels: "u8", read });
    expect(whole).toMatchObject({ background: "red", notes: ["a note"] });
    expect(await normalizationOf(whole)).toEqual(normalizationOf(makeDataset({ ...data.train, background: "red" })));
  });

  it("takes keys from who knows them, and reads nothing then", async () => {
    const { images: _, ...about } = data.train;
    let calls = 0;
    const keys = BigUint64Array.from({ length: 200 }, ((_: unknown, i: number) => BigInt(i * 77)) as never);
    const stream = await makeSource({
      ...about,
      pixels: "u8",
      keys,
      read: () => Promise.reject(new Error(`call ${++calls}`)),
    });
    expect(split(stream, { valid: 0.5 }, 1).valid.count).toBe(100);
    expect(calls).toBe(0);
    expect(identity(stream)).not.toBe(identity(data.train));
  });
});
