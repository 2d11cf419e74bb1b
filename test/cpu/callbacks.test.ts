// Ordinary asynchronous functions are callbacks: they are awaited where that means something, and what they throw is heard.
import { describe, expect, it, vi } from "vitest";
import type { ClassDataset } from "../../lib/data/index.ts";
import { interpret, ops, Store } from "../../lib/graph.ts";
import {
  type Categorical,
  evaluate,
  type FitOptions,
  fit,
  type Model,
  Predictor,
  predict,
  pruneExperiment,
} from "../../lib/index.ts";
import { eachRun, squares, tinyBayes } from "./train-kit.ts";

eachRun(() => {});
const later = () => new Promise<void>((done) => setTimeout(done, 5));
const data = squares(32);

it("fit takes them for figures, of a model and a data set as exact as they like", async () => {
  using model = tinyBayes();
  const seen: string[] = [];
  const own = async (m: Model<Categorical>, valid: ClassDataset) => {
    await later();
    const { metrics } = await evaluate(m, valid, { samples: 2 });
    return { first: m.likelihood.classes.length + valid.classes.length, accuracy: metrics.accuracy };
  };
  const options: FitOptions = {
    epochs: 2,
    batchSize: 16,
    evaluate: own,
    monitor: { name: "accuracy", better: "higher" },
    callbacks: {
      onStep: async ({ step }) => seen.push(`step ${step}`),
      onValidate: async () => {
        await later();
        seen.push("validated");
      },
      onEpoch: async ({ epoch }) => {
        await later();
        seen.push(`epoch ${epoch}`);
      },
      onNote: async (sentence) => sentence.length,
    },
  };
  const { history } = await fit(model, { train: data, valid: data }, options);
  expect(history[0].valid?.first).toBe(8);
  expect(seen).toEqual(["step 0", "step 1", "validated", "epoch 0", "step 2", "step 3", "validated", "epoch 1"]);
  const failing = { ...options, callbacks: { onEpoch: async () => Promise.reject(new Error("mine")) } };
  await expect(fit(model, { train: data, valid: data }, failing)).rejects.toThrow("mine");
});

describe("predictions", () => {
  it("end after their callback has, however long it takes", async () => {
    using model = tinyBayes();
    let done: number[] = [];
    const onProgress = async (n: number) => {
      await later();
      done.push(n);
    };
    await predict(model, data, { samples: 2, onProgress });
    expect(done).toEqual([32]);
    const predictor = new Predictor(model, { samples: 2, maxBatch: 8 });
    await predictor.predict(data, { onProgress });
    expect(done.length).toBeGreaterThan(2); // how many launches a run has is a question of time
    expect(done.at(-1)).toBe(32);
    done = [];
    await evaluate(model, data, { samples: 2, onProgress });
    await pruneExperiment(model, { train: data, test: data }, { sparsity: 0.5, predict: { samples: 2, onProgress } });
    expect(done).toEqual([32, 32, 32]);
  });

  it.each(["first", "last"])("are rejected with what it throws at the %s", async (at) => {
    using model = tinyBayes();
    const predictor = new Predictor(model, { samples: 2, maxBatch: 8 });
    const unheard = vi.fn();
    process.on("unhandledRejection", unheard);
    const onProgress = async (n: number) => {
      if (at === "first" || n === 32) throw new Error(`at ${at}`);
      await later();
    };
    const others = predictor.predict(data);
    await expect(predictor.predict(data, { onProgress })).rejects.toThrow(`at ${at}`);
    expect((await others).count).toBe(32);
    await later();
    process.off("unhandledRejection", unheard);
    expect(unheard).not.toHaveBeenCalled();
    expect(predictor.idle).toBe(true);
  });

  it("can be taken back while it runs", async () => {
    using model = tinyBayes();
    const controller = new AbortController();
    const stuck = predict(model, data, {
      samples: 2,
      signal: controller.signal,
      onProgress: () => new Promise(() => {}),
    });
    setTimeout(() => controller.abort(new Error("enough")), 50);
    await expect(stuck).rejects.toThrow("enough");
  });
});

it("the interpreter's may return anything", () => {
  using store = new Store();
  const seen: string[] = [];
  interpret(
    { store },
    { x: [1] },
    { x: 2 },
    ({ x }) => ({ y: ops.square(x) }),
    ({ node }) => seen.push(node.describe()),
  );
  expect(seen.length).toBe(1);
});
