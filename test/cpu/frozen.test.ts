// What depends on weights alone is made once: a program that has run gives the bits of one that is new, whatever has
// happened to the weights in between, and whoever did it.
import { describe, expect, it } from "vitest";
import { loadCheckpoint, restore, saveCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { compile, type Program } from "../../lib/graph/compile.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import type { Categorical } from "../../lib/likelihoods/categorical.ts";
import type { Model } from "../../lib/models/model.ts";
import { setThreads } from "../../lib/native/device.ts";
import * as ops from "../../lib/ops/index.ts";
import { type Images, predict } from "../../lib/predict/predict.ts";
import { prune } from "../../lib/prune/prune.ts";
import { fit } from "../../lib/train/fit.ts";
import { testDevice, threadCounts } from "../device.ts";
import { uniform } from "../ops/harness.ts";
import { common, eachRun, data as squares, tinyBayes } from "./train-kit.ts";

let folder = "";
eachRun((given) => {
  folder = given;
});

const values = (shape: readonly number[], seed: number) => Float32Array.from(uniform(shape, seed).data);
type Layer = (x: Tensor, mu: Tensor, sigma2: Tensor, noise: { rng: Tensor; rows: Tensor }) => Tensor;
const one = { stream: 1, samples: 1 };
const plain: Layer = (x, mu) =>
  mu.shape.length === 2 ? ops.linear(x, mu) : ops.conv2d(x, mu, undefined, { padding: 1 });
const bayes: Layer = (x, mu, sigma2, noise) =>
  mu.shape.length === 2
    ? ops.bayesLinear(x, { mu, sigma2 }, { ...noise, ...one })
    : ops.bayesConv2d(x, { mu, sigma2 }, { ...noise, ...one }, { padding: 1 });
const transposed: Layer = (x, mu) => ops.convTranspose2d(x, mu);
const bayesTransposed: Layer = (x, mu, sigma2, noise) =>
  ops.bayesConvTranspose2d(x, { mu, sigma2 }, { ...noise, ...one });

/** A layer whose posterior is the store's, its variance made of rho, as a program that predicts. */
function predicting(store: Store, layer: Layer, x: readonly number[], w: readonly number[]) {
  for (const [name, seed] of [["mu", 2], ["rho", 3]] as const) store.define(name, w, { trainable: true, init: () => values(w, seed) }); // biome-ignore format: short
  const specs = { x, rng: { shape: [4], dtype: "i32" }, rows: { shape: [x[0]], dtype: "i32" } } as const;
  const program = compile({ store }, specs, (t) => ({
    y: layer(t.x, store.tensor("mu"), ops.sigma2FromRho(store.tensor("rho")), t),
  }));
  const feeds = {
    x: values(x, 5),
    rng: Int32Array.of(1, 2, 3, 0),
    rows: Int32Array.from({ length: x[0] }, (_, i) => i),
  };
  return { program, y: (p: Program<"x" | "rng" | "rows", "y"> = program) => p.run(feeds).y };
}

const layers: readonly (readonly [string, Layer, readonly number[], readonly number[]])[] = [
  ["linear, one image", plain, [1, 40], [40, 70]],
  ["linear, a few", bayes, [9, 45], [45, 33]],
  ["linear, many", bayes, [150, 20], [20, 33]],
  ["winograd, image panels", bayes, [5, 9, 9, 20], [3, 3, 20, 24]],
  ["winograd, one image", plain, [1, 9, 9, 20], [3, 3, 20, 24]],
  ["few channels, one image", bayes, [1, 9, 9, 3], [3, 3, 3, 6]],
  ["images in the lanes", bayes, [32, 9, 9, 3], [3, 3, 3, 6]],
  ["winograd in the lanes", bayes, [32, 9, 9, 8], [3, 3, 8, 6]],
  ["transposed", transposed, [5, 4, 4, 20], [2, 2, 24, 20]],
  ["transposed, one image", bayesTransposed, [1, 4, 4, 20], [2, 2, 24, 20]],
];

describe.each(layers)("%s", (_, layer, x, w) => {
  it("gives the bits of a new program after its weights were written, on 1 to 3 threads", () => {
    using store = new Store(testDevice());
    const { program, y } = predicting(store, layer, x, w);
    for (const [i, threads] of threadCounts().entries()) {
      if (testDevice().kind === "cpu") setThreads(threads);
      const before = y();
      expect(y()).toEqual(before);
      store.set("mu", values(w, 7 + i));
      const after = y();
      expect(after).not.toEqual(before);
      using fresh = predicting(store, layer, x, w).program;
      expect(y()).toEqual(y(fresh));
      expect(y()).toEqual(after);
      store.set("rho", values(w, 17 + i));
      using again = predicting(store, layer, x, w).program;
      expect(y()).toEqual(y(again));
    }
    program.close();
  });
});

describe("a program that writes nothing", () => {
  it("has what depends on the store alone in front; one that updates has nothing frozen", () => {
    using store = new Store(testDevice());
    const { program } = predicting(store, bayes, [2, 3], [3, 4]);
    expect(program.planned.native).toMatchObject({ frozenSteps: 1 });
    expect(program.planned.native.steps.map((s) => s.op)).toEqual(["sigma2FromRho", "bayesLinear"]);
    const update = compile({ store }, { rate: [] }, ({ rate }) => {
      const rho = store.tensor("rho");
      ops.sgdUpdate(rate, [{ param: rho, grad: ops.sigma2FromRho(rho) }]);
      return { sum: ops.sum(ops.sigma2FromRho(store.tensor("mu"))) };
    });
    expect(update.planned.native.frozenSteps).toBe(0);
  });

  it("gives results that are frozen in every run and step, and holds them apart", () => {
    using store = new Store(testDevice());
    store.define("w", [100], { init: () => values([100], 1) });
    const program = compile({ store }, { x: [100] }, ({ x }) => {
      const frozen = ops.exp(ops.square(store.tensor("w")));
      return { frozen, y: ops.relu(ops.mul(ops.exp(ops.mul(x, frozen)), x)) };
    });
    const feed = values([200], 2);
    const { frozen, y } = program.run({ x: feed }, 2);
    expect(frozen.slice(100)).toEqual(frozen.slice(0, 100));
    expect(program.run({ x: feed }, 2)).toEqual({ frozen, y });
    store.set("w", values([100], 3));
    expect(program.run({ x: feed }, 2).frozen[5]).toBeCloseTo(Math.exp(values([100], 3)[5] ** 2), 4);
  });

  it("sees what a step of another program has made of the weights, in turns with it", () => {
    using store = new Store(testDevice());
    const { y } = predicting(store, bayes, [6, 30], [30, 40]);
    const step = compile({ store }, { rate: [] }, ({ rate }) => {
      ops.sgdUpdate(
        rate,
        ["mu", "rho"].map((n) => ({ param: store.tensor(n), grad: ops.square(store.tensor(n)) })),
      );
      return {};
    });
    for (let i = 0; i < 3; i++) {
      const before = y();
      step.run({ rate: 0.1 }, 1 + i);
      expect(y()).not.toEqual(before);
      using fresh = predicting(store, bayes, [6, 30], [30, 40]).program;
      expect(y()).toEqual(y(fresh));
    }
  });

  it("begins again where the frozen part was not done: behind a NaN, whose maker is named", () => {
    using store = new Store(testDevice());
    store.define("w", [3, 4], { init: () => values([3, 4], 1), values: "any" });
    const program = compile({ store }, { x: [2, 3] }, ({ x }) => {
      const w = ops.square(ops.log(store.tensor("w")));
      const y = ops.linear(x, w);
      ops.checkFinite([y]);
      return { y };
    });
    const x = values([2, 3], 2);
    for (let i = 0; i < 2; i++) {
      store.set("w", new Float32Array(12).fill(-1));
      for (let k = 0; k < 2; k++) expect(() => program.run({ x })).toThrow(/not finite.*made by log/);
      store.set("w", new Float32Array(12).fill(Math.E));
      expect(program.run({ x }).y[0]).toBeCloseTo(x[0] + x[1] + x[2], 5);
    }
  });
});

const images: Images = { ...squares.train, images: squares.train.images.slice(0, 9 * 144), count: 9 };
const asked = { samples: 5, seed: 2 };
/** Predictions of a model of the same contents that has never predicted before. */
async function anew(model: Model<Categorical>, change: (fresh: Model<Categorical>) => void = () => {}) {
  using fresh = tinyBayes();
  change(fresh);
  for (const name of model.store.slots.keys())
    if (fresh.store.slots.has(name)) fresh.store.set(name, model.store.get(name));
  return await predict(fresh, images, asked); // before it is closed
}

describe("a model that has predicted sees", () => {
  it.each([
    [
      "slots that were written",
      (m: Model<Categorical>) =>
        m.store.set(
          "fc1/weight/rho",
          (m.store.get("fc1/weight/rho") as Float32Array).map((v) => v + 2),
        ),
    ],
    ["fine-tuning", (m: Model<Categorical>) => fit(m, squares, { ...common, epochs: 1 })],
    [
      "a checkpoint",
      async (m: Model<Categorical>) => {
        using other = tinyBayes({ seed: 8 });
        saveCheckpoint(`${folder}.safetensors`, other);
        restore(m, loadCheckpoint(`${folder}.safetensors`));
      },
    ],
  ] as const)("%s", async (_, change) => {
    // biome-ignore format: a table
    using model = tinyBayes();
    const before = await predict(model, images, asked);
    expect(await predict(model, images, asked)).toEqual(before);
    await change(model);
    const after = await predict(model, images, asked);
    expect(after.probabilities).not.toEqual(before.probabilities);
    expect(after).toEqual(await anew(model));
  });

  it("masks, and masks that were written", async () => {
    using model = tinyBayes();
    await predict(model, images, asked);
    prune(model, { sparsity: 0.5 });
    const masked = (m: Model<Categorical>) => void prune(m, { sparsity: 0.5 });
    const pruned = await predict(model, images, asked);
    expect(pruned).toEqual(await anew(model, masked));
    const mask = [...model.store.slots.values()].find(({ role }) => role === "mask")!.name;
    model.store.set(mask, (model.store.get(mask) as Float32Array).fill(0));
    const none = await predict(model, images, asked);
    expect(none.probabilities).not.toEqual(pruned.probabilities);
    expect(none).toEqual(await anew(model, masked));
  });

  it("its own weights, among others of its kind", async () => {
    const members = [1, 2, 3].map((seed) => tinyBayes({ seed }));
    const alone = [];
    for (const m of members) alone.push(await predict(m, images, asked));
    const together = await Promise.all(members.map((m) => predict(m, images, asked)));
    expect(together).toEqual(alone);
    members[1].store.set("fc1/weight/mu", members[0].store.get("fc1/weight/mu"));
    expect(await predict(members[1], images, asked)).toEqual(await anew(members[1]));
    expect(await predict(members[0], images, asked)).toEqual(alone[0]);
    for (const m of members) m.close();
  });
});
