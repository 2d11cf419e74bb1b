// Monte-Carlo prediction: how it is cut into launches never shows, nor what else predicts at the same time.
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { type ClassModelConfig, createModel } from "../../lib/models/create.ts";
import { cpu } from "../../lib/native/device.ts";
import { largestLaunch, launchSize, launchSizes } from "../../lib/predict/launches.ts";
import { type Images, predict } from "../../lib/predict/predict.ts";
import { build } from "../built.ts";
import { random } from "../ops/harness.ts";

const made = (count: number, shape: Images["shape"], seed = 3): Images => {
  const next = random(seed);
  const length = count * shape[0] * shape[1] * shape[2];
  return { images: Uint8Array.from({ length }, () => 256 * next()), count, shape };
};
const part = ({ images, count, shape }: Images, n: number): Images => ({
  images: images.subarray(0, (images.length / count) * n),
  count: n,
  shape,
});
const preprocess = (channels: number) => ({ scale: Array(channels).fill(1 / 128), shift: Array(channels).fill(-1) });

describe("launches", () => {
  it("are few programs, and hardly an image is computed in vain", () => {
    const counts = fc.tuple(fc.integer({ min: 1, max: 2000 }), fc.integer({ min: 1, max: 65_536 }));
    fc.assert(
      fc.property(counts, ([count, samples]) => {
        const largest = largestLaunch(cpu(), samples);
        expect((largest - (largest < 16 ? 1 : 32)) * samples).toBeLessThan(512);
        expect(largest < 16 || largest % 32 === 0).toBe(true);
        const sizes = launchSizes(largest);
        expect(sizes.length).toBeLessThanOrEqual(10);
        let [left, vain, launches, known] = [count, 0, 0, true];
        for (; left > 0; launches++) {
          const size = launchSize(left, largest);
          known &&= sizes.includes(size);
          vain += Math.max(0, size - left);
          left -= size;
        }
        expect(known).toBe(true);
        expect(vain).toBeLessThanOrEqual(Math.min(count, largest) / 4);
        expect(launches).toBeLessThanOrEqual(Math.floor(count / largest) + sizes.length);
      }),
    );
    expect([1, 5, 10, 32, 33, 64].map((n) => largestLaunch(cpu(), n))).toEqual([512, 128, 64, 32, 32, 8]);
    expect(launchSizes(52)).toEqual([1, 2, 4, 8, 16, 32, 52]);
    expect([1, 2, 3, 5, 6, 7, 13, 15, 51, 52, 53, 10_000].map((n) => launchSize(n, 52))).toEqual([
      1, 2, 2, 4, 4, 8, 16, 16, 52, 52, 52, 52,
    ]);
    expect(launchSize(3, 1)).toBe(1);
  });

  for (const [model, channels] of [
    ["lenet5", 1],
    ["alexnet", 3],
    ["3conv3fc", 3],
    ["resnet20", 3],
  ] as const)
    it(`${model}: an image has the same logits, bit for bit, alone and among others`, async () => {
      using m = createModel({
        model,
        input: [32, 32, channels],
        classes: 10,
        seed: 2,
        preprocess: preprocess(channels),
      });
      const options = { samples: 10, seed: 5 };
      const all = made(103, [32, 32, channels]);
      const whole = await predict(m, all, options);
      for (const count of [1, 7]) {
        const few = await predict(m, part(all, count), options);
        for (let s = 0; s < options.samples; s++)
          expect(few.logits.subarray(s * count * 10, (s + 1) * count * 10)).toEqual(
            whole.logits.subarray(s * 1030, s * 1030 + count * 10),
          );
      }
    });
});

describe("at the same time", () => {
  const config: ClassModelConfig = {
    model: "lenet5",
    input: [28, 28, 1],
    classes: 10,
    seed: 2,
    preprocess: preprocess(1),
  };
  const data = made(150, [28, 28, 1]);
  const options = { samples: 10, seed: 5 };
  const tmp = mkdtempSync(join(tmpdir(), "bayescnn-predict-"));
  beforeAll(build);
  afterAll(() => rmSync(tmp, { recursive: true }));

  it("two models of one process predict what each does alone", async () => {
    using one = createModel(config);
    using two = createModel({
      model: "alexnet-half",
      input: [32, 32, 3],
      classes: 10,
      seed: 3,
      preprocess: preprocess(3),
    });
    const both = [() => predict(one, data, options), () => predict(two, made(60, [32, 32, 3]), options)];
    const alone = [await both[0](), await both[1]()];
    const together = await Promise.all(both.map((start) => start()));
    expect(together.map((p) => p.logits)).toEqual(alone.map((p) => p.logits));
  });

  it("one model is asked as often as one likes", async () => {
    using model = createModel(config);
    const alone = await predict(model, data, options);
    const other = { ...options, seed: 6 };
    const otherAlone = await predict(model, data, other);
    const together = await Promise.all([0, 1, 0, 1, 0].map((k) => predict(model, data, [options, other][k])));
    expect(together.map((p) => p.logits)).toEqual([0, 1, 0, 1, 0].map((k) => [alone, otherAlone][k].logits));
  });

  it("one model's weights predict the same in two worker_threads and here", async () => {
    using model = createModel(config);
    const parameter = [...model.store.slots.values()].find((s) => s.trainable)!;
    model.store.set(
      parameter.name,
      (model.store.get(parameter.name) as Float32Array).map((v) => 1.5 * v),
    );
    const checkpoint = join(tmp, "model.safetensors");
    saveCheckpoint(checkpoint, model);
    const file = new URL("./predict-worker.mjs", import.meta.url);
    const work = () => once(new Worker(file, { workerData: { config, checkpoint, data, options } }), "message");
    const [[first], [second], here] = await Promise.all([work(), work(), predict(model, data, options)]);
    expect(first).toEqual(here.logits);
    expect(second).toEqual(here.logits);
  });

  it("a model itself cannot be sent to a worker_thread", () => {
    using model = createModel(config);
    expect(() => structuredClone(model)).toThrow(/could not be cloned/);
  });
});
