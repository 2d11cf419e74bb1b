// Augmentation in a step and in a run: existing runs keep their bits, nothing shows but seed, epoch and example, mixup is
// what its formula says, and what makes no sense is refused.
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { type Augmentation, augmentParams, augmentReference, mixupWeight } from "../../lib/data/augment.ts";
import { makeDataset } from "../../lib/data/dataset.ts";
import { epochOrder } from "../../lib/data/order.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { conv2d } from "../../lib/layers/conv.ts";
import { gaussian } from "../../lib/likelihoods/gaussian.ts";
import { Model } from "../../lib/models/model.ts";
import { setThreads } from "../../lib/native/device.ts";
import { gatherBatch } from "../../lib/ops/gatherBatch.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmaxCrossEntropy.ts";
import { type FitOptions, fit, type StepRecord } from "../../lib/train/fit.ts";
import { testDevice } from "../device.ts";
import { random } from "../ops/harness.ts";
import { data, eachRun, tinyBayes, tinyPlain, train } from "./train-kit.ts";

let folder = "";
eachRun((given) => {
  folder = given;
});

const everything: Augmentation = {
  shift: 1,
  flip: true,
  resizedCrop: { scale: [0.5, 1] },
  rotate: 10,
  brightness: 0.2,
  contrast: 0.2,
  cutout: 3,
  mixup: 0.4,
};

describe("the gather", () => {
  const next = random(4);
  const shape = [30, 9, 7, 3] as const;
  const pixels = Uint8Array.from({ length: 30 * 189 }, () => Math.floor(next() * 256));
  const rows = Int32Array.from({ length: 20 }, (_, i) => (i * 7) % 30);
  const seed = Int32Array.of(12345, 256, 0, 0);
  const how = { scale: [1 / 255, 1 / 200, 1 / 100], shift: [-0.5, 0, 0.3] };

  it("gives the bits of shift and flip that it always gave", () => {
    using store = new Store(testDevice());
    using p = compile(
      { store },
      {
        data: { shape, dtype: "u8" },
        index: { shape: [20], dtype: "i32" },
        rng: { shape: [4], dtype: "i32" },
        epoch: { shape: [], dtype: "i32" },
      },
      ({ data, index, rng, epoch }) => ({
        x: gatherBatch(data, index, { ...how, augment: { shift: 3, flip: true, rng, epoch } }),
      }),
    );
    const { x } = p.run({ data: pixels, index: rows, rng: seed, epoch: 11 });
    // of the version before there was anything else, on every instruction set
    expect(crc32(new Uint8Array(x.buffer))).toBe(2778101155);
  });

  it("of a batch that was fed, with the examples' numbers, is that of the resident set", () => {
    const { mixup, ...rest } = everything;
    const fed = Uint8Array.from([...rows].flatMap((i) => [...pixels.subarray(i * 189, i * 189 + 189)]));
    using store = new Store(testDevice());
    using p = compile(
      { store },
      {
        data: { shape, dtype: "u8" },
        fed: { shape: [20, 9, 7, 3], dtype: "u8" },
        index: { shape: [20], dtype: "i32" },
        rng: { shape: [4], dtype: "i32" },
        epoch: { shape: [], dtype: "i32" },
      },
      ({ data, fed, index, rng, epoch }) => {
        const iota = constant(Int32Array.from({ length: 20 }, (_, i) => i));
        return {
          resident: gatherBatch(data, index, { ...how, augment: { ...rest, rng, epoch } }),
          streamed: gatherBatch(fed, iota, { ...how, augment: { ...rest, rng, epoch, examples: index } }),
          other: gatherBatch(fed, iota, { ...how, augment: { ...rest, rng, epoch } }),
        };
      },
    );
    const { resident, streamed, other } = p.run({ data: pixels, fed, index: rows, rng: seed, epoch: 2 });
    expect(streamed).toEqual(resident);
    expect(other).not.toEqual(resident);
  });
});

describe("a run with every variation", () => {
  const weights = Array.from({ length: 200 }, (_, i) => 1 + (i % 3));
  const options = { augment: everything, exampleWeights: weights, samples: 2, epochs: 2 };

  it("has the same bits on any number of threads, in chunks of any length, stopped and resumed anywhere", async () => {
    const whole = await train(options);
    for (const [threads, chunk] of [
      [2, 1],
      [3, 4],
    ] as const) {
      setThreads(threads);
      expect((await train({ ...options, chunk })).bits).toEqual(whole.bits);
    }
    for (const step of [3, 7, 9]) {
      const runDir = join(folder, String(step));
      const abort = new AbortController();
      const onStep = (r: StepRecord) => void (r.step + 1 === step && abort.abort());
      await train({ ...options, runDir, chunk: 1, signal: abort.signal, callbacks: { onStep } });
      const { result, bits } = await train({ ...options, runDir, resume: true });
      expect(result.steps).toBe(14);
      expect(bits).toEqual(whole.bits);
    }
  });

  it("is another run with each of them changed, and the same when it is said in other words", async () => {
    const runDir = join(folder, "run");
    const { mixup, ...rest } = everything;
    await train({ augment: everything, epochs: 1, runDir });
    const again = (augment: Augmentation) => train({ augment, epochs: 1, runDir, resume: true });
    for (const changed of [{ shift: 2 }, { rotate: 11 }, { contrast: 0 }, { mixup: 0.5 }, { resizedCrop: true }])
      await expect(again({ ...everything, ...changed })).rejects.toThrow(/augment/);
    await expect(again(rest)).rejects.toThrow(/augment/);
    await again({ ...everything, resizedCrop: { scale: [0.5, 1], ratio: [3 / 4, 4 / 3] } });
  });
});

describe("mixup", () => {
  it("trains on the mixed images and losses of its formula", async () => {
    const augment: Augmentation = { shift: 1, rotate: 20, mixup: 0.7 };
    const batch = 8; // 200 images: no smaller last batch
    const size = 144;
    const { images, targets } = data.train;
    const weights = Array.from({ length: 200 }, (_, i) => 0.5 + (i % 5) / 4); // of mean 1
    const order = epochOrder(200, 7, 0).subarray(0, batch);
    const x = [...order].map((i) =>
      augmentReference(
        images.subarray(i * size, (i + 1) * size),
        [12, 12, 1],
        augmentParams(7, 0, i, augment, [12, 12, 1]),
      ),
    );
    const lam = [...order].map((i) => mixupWeight(7, 0, i, 0.7));
    const next = (i: number) => (i + 1) % batch;
    const mixed = x.flatMap((own, i) => [...own.map((v, k) => (lam[i] * v + (1 - lam[i]) * x[next(i)][k]) / 255)]);
    using model = tinyPlain();
    using program = compile({ store: model.store }, { x: [batch, 12, 12, 1] }, ({ x }) => {
      const { output } = model.apply(x, { mode: "mean" });
      const labels = Int32Array.from(order, (i) => targets[i]);
      const others = Int32Array.from(labels, (_, i) => labels[next(i)]);
      return {
        own: softmaxCrossEntropy(output, constant(labels)),
        other: softmaxCrossEntropy(output, constant(others)),
      };
    });
    const { own, other } = program.run({ x: Float32Array.from(mixed) });
    let want = 0;
    for (let i = 0; i < batch; i++)
      want += (lam[i] * weights[order[i]] * own[i] + (1 - lam[i]) * weights[order[next(i)]] * other[i]) / batch;
    const steps: StepRecord[] = [];
    const onStep = (r: StepRecord) => void steps.push(r);
    const options: FitOptions = { epochs: 1, batchSize: batch, seed: 7, augment, exampleWeights: weights };
    await fit(model, data, { ...options, callbacks: { onStep } });
    expect(steps[0].nll).toBeCloseTo(want, 5);
  });

  it("mixes targets that are numbers or images too, and learns", async () => {
    const next = random(2);
    const images = Float32Array.from({ length: 64 * 16 }, () => next());
    const doubled = makeDataset({
      images,
      targets: images.map((p) => 2 * p),
      targetShape: [4, 4, 1],
      shape: [4, 4, 1],
    });
    const make = () =>
      new Model({
        name: "twice",
        input: [4, 4, 1],
        likelihood: gaussian(),
        preprocess: { scale: [1], shift: [0] },
        build: (x) => conv2d(x, 1, 1, { name: "conv" }),
      });
    using model = make();
    const mix = { augment: { mixup: 1, brightness: 0 }, batchSize: 16, epochs: 30, learningRate: 0.05 };
    const { history } = await fit(model, { train: doubled }, mix);
    expect(history.at(-1)!.nll).toBeLessThan(history[0].nll);
    await expect(fit(model, { train: doubled }, { augment: { shift: 1, mixup: 1 } })).rejects.toThrow(
      /augment without shift, flip, resizedCrop and rotate where targets are images/,
    );
  });
});

describe("fit refuses", () => {
  const refusals: [string, unknown, RegExp][] = [
    ["a square larger than the image", { cutout: 13 }, /augment.cutout of at most 12 pixels/],
    ["half a pixel", { cutout: 2.5 }, /augment.cutout to be an integer/],
    ["more than half a turn", { rotate: 181 }, /augment.rotate .*<= 180, received 181/],
    ["a turn with a sign", { rotate: -5 }, /augment.rotate/],
    ["brightness in percent", { brightness: 20 }, /augment.brightness .*<= 1, received 20/],
    ["contrast below 0", { contrast: -0.1 }, /augment.contrast/],
    ["mixup of 0", { mixup: 0 }, /augment.mixup above 0/],
    ["mixup below 0", { mixup: -1 }, /augment.mixup/],
    ["mixup that is no number", { mixup: Number.NaN }, /augment.mixup/],
    ["a range the wrong way round", { resizedCrop: { scale: [1, 0.5] } }, /scale as \[least, largest\]/],
    ["one number for a range", { resizedCrop: { scale: 0.5 } }, /scale as object/],
    ["a share above 1", { resizedCrop: { scale: [0.5, 2] } }, /scale to be a finite number/],
    ["a ratio of 0", { resizedCrop: { ratio: [0, 1] } }, /ratio to be a finite number/],
    ["a word it does not know", { rotation: 15 }, /options among shift, flip, resizedCrop, rotate/],
    ["a word it does not know in a crop", { resizedCrop: { area: [0.5, 1] } }, /options among scale, ratio/],
    ["a shift that is a text", { shift: "4" }, /shift as number/],
  ];
  it.each(refusals)("%s", async (_, augment, message) => {
    using model = tinyBayes();
    await expect(fit(model, data, { augment: augment as Augmentation })).rejects.toThrow(message);
    expect([...model.store.slots.keys()].filter((name) => name.startsWith("data/"))).toEqual([]);
  });
  it("mixup in batches of one", async () => {
    using model = tinyBayes();
    await expect(fit(model, data, { augment: { mixup: 1 }, batchSize: 1 })).rejects.toThrow(/batchSize of at least 2/);
  });
});
