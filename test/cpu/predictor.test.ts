// Predictions under load: many callers at a time, also while the model is being trained; company never shows in a bit.

import { afterEach, describe, expect, it, vi } from "vitest";
import { loadCheckpoint, restore, saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { Program } from "../../lib/graph/compile.ts";
import type { Categorical } from "../../lib/likelihoods/categorical.ts";
import type { ClassPrediction } from "../../lib/likelihoods/shared/predictions.ts";
import { createModel } from "../../lib/models/create.ts";
import type { Model } from "../../lib/models/model.ts";
import { type Images, predict } from "../../lib/predict/predict.ts";
import { Predictor } from "../../lib/predict/predictor.ts";
import { LaunchPrograms } from "../../lib/predict/programs.ts";
import { prune } from "../../lib/prune/prune.ts";
import { fit } from "../../lib/train/fit.ts";
import { random } from "../ops/harness.ts";
import { bits, common, eachRun, data as squares, tinyBayes } from "./train-kit.ts";

let folder = "";
eachRun((given) => {
  folder = given;
});

const { images, shape, count: total } = squares.train;
/** Images [first, first + count) of the training set. */
const some = (first: number, count: number): Images => ({
  images: images.slice(first * 144, (first + count) * 144),
  count,
  shape,
});
const thousands: Images = { images: new Uint8Array(40 * images.length), count: 40 * total, shape };
for (let i = 0; i < 40; i++) (thousands.images as Uint8Array).set(images as Uint8Array, i * images.length);
const floats = (data: Images): Images => ({ ...data, images: Float32Array.from(data.images) });
const options = { samples: 6, seed: 4 };
const alone = async (model: Model<Categorical>, asked: readonly Images[]): Promise<ClassPrediction[]> => {
  const answers: ClassPrediction[] = [];
  for (const a of asked) answers.push(await predict(model, a, options));
  return answers;
};
const next = random(9);
const mixed = (n: number) =>
  Array.from({ length: n }, () => some(Math.floor(next() * 150), 1 + Math.floor(next() ** 4 * 40)));

let open: Model<Categorical>[] = [];
const tiny = () => {
  const model = tinyBayes();
  open.push(model);
  return model;
};
afterEach(() => {
  for (const model of open) model.close();
  open = [];
});

describe("one call", () => {
  it("leaves the event loop's thread for a launch that is long, or may be, with the same bits", async () => {
    const model = tiny();
    const handedOver = vi.spyOn(Program.prototype, "runAsync");
    try {
      const first = await predict(model, some(0, 1), options);
      expect(handedOver).toHaveBeenCalledTimes(1); // nobody knows how long it takes
      const kind = { mode: "sample", samples: options.samples, precision: "fp32" } as const;
      const launch = LaunchPrograms.of(model).get(kind, 1, "u8");
      expect(launch.ms).toBeLessThan(Infinity);
      for (const [ms, calls] of [
        [0.1, 1],
        [50, 2],
        [0.1, 2],
      ]) {
        launch.ms = ms;
        expect(await predict(model, some(0, 1), options)).toEqual(first);
        expect(handedOver).toHaveBeenCalledTimes(calls);
        expect(launch.ms).not.toBe(ms); // measured anew
      }
    } finally {
      handedOver.mockRestore();
    }
  });
});

describe("concurrent calls", () => {
  it.each([1, 3, 5, 64])(
    "are answered with the bits that each would have got alone (launches of at most %d)",
    async (maxBatch) => {
      const model = tiny();
      const asked = mixed(40);
      const expected = await alone(model, asked);
      const predictor = new Predictor(model, { ...options, maxBatch });
      const together = await Promise.all(
        asked.map(async (a, i) => {
          if (i % 3 === 0) await new Promise((resolve) => setTimeout(resolve, i / 4)); // some come while others run
          return predictor.predict(i % 7 === 0 ? floats(a) : a);
        }),
      );
      expect(together).toEqual(expected);
    },
  );

  it("of a published model too, whatever else shares the launch", async () => {
    using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 2 });
    const data = (seed: number, count: number): Images => {
      const pixel = random(seed);
      return { images: Uint8Array.from({ length: count * 784 }, () => 256 * pixel()), count, shape: [28, 28, 1] };
    };
    const asked = Array.from({ length: 16 }, (_, i) => data(i + 1, 1 + (i % 4)));
    const expected = await alone(model, asked);
    expect(await Promise.all(asked.map((a) => predict(model, a, options)))).toEqual(expected);
  });

  it("copy their images: the caller's array may be used again, or given away, at once", async () => {
    const model = tiny();
    const [expected] = await alone(model, [some(3, 20)]);
    const mine = some(3, 20);
    const asked = predict(model, mine, options);
    structuredClone(mine.images, { transfer: [mine.images.buffer as ArrayBuffer] });
    expect(await asked).toEqual(expected);
    const buffer = Buffer.from(some(3, 20).images);
    const again = predict(model, { ...mine, images: buffer }, options);
    buffer.fill(0);
    expect(await again).toEqual(expected);
  });

  it("a call of one image does not wait for one of thousands", async () => {
    const model = tiny();
    const predictor = new Predictor(model, { ...options, samples: 32 });
    const log: string[] = [];
    const many = Array(40)
      .fill(images)
      .flatMap((a: Uint8Array) => [...a]);
    const huge = predictor
      .predict({ images: Uint8Array.from(many), count: 40 * total, shape })
      .then(() => log.push("thousands"));
    await predictor.predict(some(0, 1)).then(() => log.push("one"));
    expect(log).toEqual(["one"]);
    await huge;
    expect(log).toEqual(["one", "thousands"]);
  });

  it("wait for company if they are asked to, but no longer", async () => {
    const model = tiny();
    const [expected] = await alone(model, [some(0, 1)]);
    const patient = new Predictor(model, { ...options, maxBatch: 4, maxWait: 3_600_000 });
    const later = (after: number) =>
      new Promise((resolve) => setTimeout(resolve, after)).then(() => patient.predict(some(0, 1)));
    // a full launch waits for nobody
    for (const answer of await Promise.all([0, 20, 40, 60].map(later))) expect(answer).toEqual(expected);
    const short = new Predictor(model, { ...options, maxBatch: 4, maxWait: 200 });
    const started = performance.now();
    expect(await short.predict(some(0, 1))).toEqual(expected);
    expect(performance.now() - started).toBeGreaterThan(190);
  });

  it("report their own progress", async () => {
    const model = tiny();
    const seen: number[][] = [[], []];
    const predictor = new Predictor(model, { ...options, maxBatch: 4 });
    await Promise.all([30, 9].map((n, i) => predictor.predict(some(0, n), { onProgress: (k) => seen[i].push(k) })));
    for (const [i, n] of [30, 9].entries()) {
      expect(seen[i].at(-1)).toBe(n);
      expect(seen[i]).toEqual([...new Set(seen[i])].sort((a, b) => a - b));
    }
    await expect(
      predictor.predict(some(0, 30), {
        onProgress: () => {
          throw new Error("enough");
        },
      }),
    ).rejects.toThrow("enough");
    expect(predictor.idle).toBe(true);
  });
});

describe("a call is taken back", () => {
  it("by its signal, before or while it runs, and no other is disturbed", async () => {
    const model = tiny();
    const asked = mixed(12);
    const expected = await alone(model, asked);
    const predictor = new Predictor(model, { ...options, maxBatch: 2 });
    const before = AbortSignal.abort(new Error("too late"));
    await expect(predictor.predict(some(0, 1), { signal: before })).rejects.toThrow("too late");
    const controllers = [0, 1, 2].map(() => new AbortController());
    const given = controllers.map(({ signal }, i) => {
      const onProgress = i === 1 ? () => controllers[1].abort(new Error("stop 1")) : undefined;
      return expect(predictor.predict(some(5, 30), { signal, onProgress })).rejects.toThrow(`stop ${i}`);
    });
    const others = asked.map((a) => predictor.predict(a));
    controllers[0].abort(new Error("stop 0"));
    setImmediate(() => controllers[2].abort(new Error("stop 2"))); // in flight
    await Promise.all(given);
    expect(await Promise.all(others)).toEqual(expected);
    const last = new AbortController();
    const onProgress = (done: number) => done === 3 && last.abort(new Error("at the end"));
    const cut = predictor.predict(some(0, 3), { signal: last.signal, onProgress: (n) => void onProgress(n) });
    await expect(cut).rejects.toThrow("at the end");
    expect(predictor.idle).toBe(true);
    const late = new AbortController();
    await predictor.predict(some(0, 1), { signal: late.signal });
    late.abort(); // nobody listens any more
  });

  it("while it runs, and the model may be closed as soon as it is rejected", async () => {
    for (let i = 0; i < 10; i++) {
      using model = tinyBayes();
      const controller = new AbortController();
      const refused = expect(predict(model, thousands, { ...options, signal: controller.signal })).rejects.toThrow(
        "now",
      );
      while (!model.store.busy) await new Promise((resolve) => setImmediate(resolve));
      controller.abort(new Error("now"));
      expect(model.store.busy).toBe(true);
      await refused;
    }
  });

  it("by a signal that many share, without a warning", async () => {
    const model = tiny();
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on("warning", warned);
    const controller = new AbortController();
    const { signal } = controller;
    const predictor = new Predictor(model, { ...options, maxBatch: 1 });
    const calls = Array.from({ length: 50 }, () => predictor.predict(thousands, { signal }));
    const refused = Promise.all(calls.map((call) => expect(call).rejects.toThrow("all of you")));
    controller.abort(new Error("all of you"));
    await refused;
    expect(predictor.idle).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 10));
    process.off("warning", warned);
    expect(warnings).toEqual([]);
  });

  it("by closing the model in its own callback, in words", async () => {
    const model = tinyBayes();
    const predictor = new Predictor(model, { ...options, maxBatch: 2 });
    const others = [0, 1, 2].map((i) => expect(predictor.predict(some(i, 100))).rejects.toThrow(/open/));
    await expect(predictor.predict(thousands, { onProgress: () => model.close() })).rejects.toThrow(/open/);
    await Promise.all(others);
  });

  it("by a full queue, in words", async () => {
    const model = tiny();
    const predictor = new Predictor(model, { ...options, maxQueue: 2 });
    const calls = [0, 1, 2].map((i) => predictor.predict(some(i, 1)));
    await expect(calls[2]).rejects.toMatchObject({
      message: "[predict] expected at most 2 calls to wait at a time, received another",
      code: "ERR_BAYES_QUEUE_FULL",
    });
    await Promise.all(calls.slice(0, 2));
    await predictor.predict(some(0, 1));
  });

  it("by closing the model, in words; those answered before keep their answers", async () => {
    const model = tinyBayes();
    const predictor = new Predictor(model, { ...options, maxBatch: 1 });
    const [expected] = await alone(model, [some(0, 1)]);
    const closing = expect(predictor.predict(thousands)).rejects.toThrow(/expected .* open/);
    const first = predictor.predict(some(0, 1)).then((answer) => {
      model.store.turn("closing", () => model.close());
      return answer;
    });
    const plain = expect(first.then(() => predict(model, thousands, options))).rejects.toThrow(/expected .* open/);
    expect(await first).toEqual(expected);
    await Promise.all([closing, plain]);
    await expect(predictor.predict(some(0, 1))).rejects.toThrow(/received one that was closed/);
    expect(() => new Predictor(model)).toThrow(/received one that was closed/);
  });
});

describe("while fit trains the model", () => {
  it("all calls are answered, and training and its files are those of a run left alone", async () => {
    const settings = { ...common, epochs: 3, checkpoint: { steps: 2 } };
    using quiet = tinyBayes();
    const reference = await fit(quiet, squares, { ...settings, runDir: `${folder}-quiet` });
    const model = tiny();
    const asked = mixed(16);
    let going = true;
    const training = fit(model, squares, { ...settings, runDir: `${folder}-busy` }).finally(() => {
      going = false;
    });
    let answered = 0;
    const callers = asked.map(async (a, i) => {
      while (going) {
        const { logits } = await predict(model, a, { ...options, seed: i % 2 });
        expect(logits.every(Number.isFinite)).toBe(true);
        answered++;
      }
    });
    const { history } = await training;
    await Promise.all(callers);
    expect(answered).toBeGreaterThan(asked.length);
    expect(history).toEqual(reference.history);
    expect(bits(model)).toEqual(bits(quiet));
    restore(quiet, loadCheckpoint(`${folder}-busy/checkpoint.safetensors`));
    expect(bits(quiet)).toEqual(bits(model));
  });

  it("a rate of zero shows that 64 calls are answered with the bits they get alone", async () => {
    const model = tiny();
    const asked = mixed(64);
    const expected = await alone(model, asked);
    const still = { at: () => 0, name: "none" };
    const training = fit(model, squares, { ...common, epochs: 4, learningRate: still });
    expect(await Promise.all(asked.map((a) => predict(model, a, options)))).toEqual(expected);
    await training;
    expect(await alone(model, asked)).toEqual(expected);
  });

  it("each sees the parameters as of the end of a step", async () => {
    const settings = { ...common, epochs: 2, evaluate: undefined, chunk: 1 };
    const one = some(0, 1);
    const train = { train: squares.train };
    const key = (p: ClassPrediction) => p.logits.join();
    using quiet = tinyBayes();
    const snapshot = () => quiet.parameters.map(({ name }) => [name, quiet.store.get(name)] as const);
    const snapshots = [snapshot()];
    await fit(quiet, train, { ...settings, callbacks: { onStep: () => void snapshots.push(snapshot()) } });
    const seen: string[] = [];
    for (const parameters of snapshots) {
      for (const [name, values] of parameters) quiet.store.set(name, values);
      seen.push(key(await predict(quiet, one, options)));
    }
    expect(new Set(seen).size).toBe(15);
    const model = tiny();
    let going = true;
    const training = fit(model, train, settings).finally(() => {
      going = false;
    });
    while (going) expect(seen).toContain(key(await predict(model, one, options)));
    await training;
  });

  it("synchronous uses are refused by the name of whoever runs", async () => {
    const model = tiny();
    const asked = predict(model, some(0, 150), { ...options, samples: 300 });
    while (!model.store.busy) await new Promise((resolve) => setImmediate(resolve));
    expect(() => model.store.get("fc1/weight/mu")).toThrow(/run under way \(a prediction\); await it first/);
    expect(() => model.close()).toThrow(/a prediction/);
    await asked;
  });
});

describe("programs", () => {
  const counted = (model: Model<Categorical>) => {
    const addon = model.store.device.addon;
    let plans = 0;
    const device = {
      ...addon,
      Plan: class extends addon.Plan {
        constructor(...args: ConstructorParameters<typeof addon.Plan>) {
          super(...args);
          plans++;
        }
      },
    };
    Object.assign(model.store.device, { addon: device });
    return () => plans;
  };

  it("are compiled once for each size of launch", async () => {
    const model = tiny();
    const plans = counted(model);
    const predictor = new Predictor(model, { ...options, maxBatch: 8 });
    await predictor.prepare();
    expect(plans()).toBe(4);
    for (const a of mixed(20)) await predictor.predict(a);
    await Promise.all(mixed(30).map((a) => predictor.predict(a)));
    model.store.set(
      "fc1/weight/mu",
      (model.store.get("fc1/weight/mu") as Float32Array).map((v) => 2 * v),
    );
    await new Predictor(model, { ...options, maxBatch: 8, seed: 77 }).predict(some(0, 8));
    expect(plans()).toBe(4);
    await predictor.predict(floats(some(0, 1)));
    expect(plans()).toBe(5);
  });

  it("follow the model: masks of pruning and the noise streams of a checkpoint", async () => {
    const model = tiny();
    const before = await predict(model, some(0, 9), options);
    const file = `${folder}.safetensors`;
    saveCheckpoint(file, model);
    const checkpoint = loadCheckpoint(file);
    prune(model, { sparsity: 0.6 });
    model.store.set("fc1/weight/mu", (model.store.get("fc1/weight/mu") as Float32Array).fill(1)); // only the mask holds them at zero
    const pruned = await predict(model, some(0, 9), options);
    using fresh = tinyBayes();
    prune(fresh, { sparsity: 0.6 });
    fresh.store.set("fc1/weight/mu", (fresh.store.get("fc1/weight/mu") as Float32Array).fill(1));
    expect(pruned).toEqual(await predict(fresh, some(0, 9), options));

    using other = tinyBayes();
    expect(await predict(other, some(0, 9), options)).toEqual(before);
    restore(other, { ...checkpoint, streams: { conv1: 7, fc1: 9 } });
    const moved = await predict(other, some(0, 9), options);
    expect(moved.logits).not.toEqual(before.logits);
    restore(other, checkpoint);
    expect(await predict(other, some(0, 9), options)).toEqual(before);
  });

  it("are no more than a model can keep", async () => {
    const model = tiny();
    const plans = counted(model);
    const sizes = Array.from({ length: 20 }, (_, i) => i + 1);
    for (const samples of sizes) await predict(model, some(0, 1), { ...options, samples });
    await predict(model, some(0, 1), { ...options, samples: 20 });
    expect(plans()).toBe(20);
    await predict(model, some(0, 1), { ...options, samples: 1 });
    expect(plans()).toBe(21);
  });
});

it("options that make no sense are refused in words", async () => {
  const model = tiny();
  for (const [bad, message] of [
    [{ maxBatch: 0 }, /maxBatch to be an integer from 1/],
    [{ maxWait: -1 }, /maxWait to be a finite number >= 0/],
    [{ maxWait: Number.NaN }, /maxWait/],
    [{ maxQueue: 0 }, /maxQueue to be an integer >= 1/],
    [{ batch: 4 }, /options among samples, mode/],
    [null, /options as an object/],
  ] as const)
    expect(() => new Predictor(model, bad as never)).toThrow(message);
  const predictor = new Predictor(model, options);
  await expect(predictor.predict(some(0, 1), { signal: {} as never })).rejects.toThrow(/signal as an AbortSignal/);
  await expect(predictor.predict(undefined as never)).rejects.toThrow(
    /expected a data set, or { images, count, shape }/,
  );
  await expect(predictor.prepare("i32" as never)).rejects.toThrow(/pixels "u8" or "f32"/);
});
