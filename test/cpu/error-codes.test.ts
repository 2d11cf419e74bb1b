// What a program may tell errors apart by: each code, from the public functions that give it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { loadData, makeDataset, makeSource, readIdx } from "../../lib/data/index.ts";
import { compile, ops, RunError, Store } from "../../lib/graph.ts";
import {
  BayesError,
  bayesLinear,
  createModel,
  fit,
  loadImageFolder,
  loadTable,
  openModel,
  openRun,
  Predictor,
  predict,
} from "../../lib/index.ts";
import { exportOnnx, verifyOnnx } from "../../lib/onnx/index.ts";
import { loadCheckpoint, readSafetensors, saveCheckpoint } from "../../lib/train/index.ts";
import { read } from "../docs-kit/blocks.ts";
import { nullDevice } from "../null-device.ts";
import { eachRun, spoil, squares, tinyBayes } from "./train-kit.ts";

eachRun(() => {});
const folder = mkdtempSync(join(tmpdir(), "bayescnn-codes-"));
afterAll(() => rmSync(folder, { recursive: true }));
const model = tinyBayes();
afterAll(() => model.close());
const data = squares(16);
const closed = tinyBayes();
closed.close();
const junk = join(folder, "junk");
writeFileSync(junk, "not what you think");
const zeros = (count: number) => ({ images: new Uint8Array(144 * count), count, shape: [12, 12, 1] as const });

async function errorOf(run: () => unknown): Promise<BayesError> {
  try {
    await run();
  } catch (error) {
    expect(error).toBeInstanceOf(BayesError);
    return error as BayesError;
  }
  throw new Error("nothing was thrown");
}
const seen = new Set<string>();
const has = (code: string, cases: Readonly<Record<string, () => unknown>>) =>
  describe(code, () => {
    it.each(Object.keys(cases))("%s", async (name) => {
      const error = await errorOf(cases[name]);
      expect(error.code, error.message).toBe(code);
      seen.add(code);
    });
  });

has("ERR_BAYES_ARGUMENT", {
  "an option that there is not": () => fit(model, { train: data }, { epoch: 1 } as never),
  "a device that there is not": () =>
    createModel({ model: "lenet5", input: [28, 28, 1], classes: 2, device: "tpu" as never }),
  "a layer outside of a model": () => bayesLinear(1 as never, 2),
  "an op of wrong shapes, in a trace": () => {
    using store = new Store();
    compile({ store }, { x: [2, 3] }, ({ x }) => ({ y: ops.reshape(x, [5]) }));
  },
});
const source = { name: "s", count: 8, shape: [12, 12, 1], pixels: "u8", labels: Array(8).fill(0), classes: 4 } as const;
has("ERR_BAYES_DATA", {
  "pixels of a reader that are no numbers": () =>
    makeSource({ ...source, pixels: "f32", read: (indices) => new Float32Array(144 * indices.length).fill(NaN) }),
  "labels that are out of range": () =>
    makeDataset({ images: new Uint8Array(4), shape: [1, 1, 1], labels: [0, 1, 2, 3], classes: 3 }),
  "pixels that are no numbers": () =>
    makeDataset({ images: Float32Array.of(1, NaN), shape: [1, 1, 1], labels: [0, 1], classes: 2 }),
  "images of another shape than the model's": () =>
    predict(model, { images: new Uint8Array(4), count: 1, shape: [2, 2, 1] }),
  "a training set of other images": () =>
    fit(model, { train: makeDataset({ images: new Uint8Array(8), shape: [2, 2, 1], labels: [0, 1], classes: 4 }) }),
  "a training set with numbers for a model of classes": () =>
    fit(model, { train: makeDataset({ images: new Uint8Array(288), shape: [12, 12, 1], targets: [0.5, 1] }) }),
});
has("ERR_BAYES_FILE", {
  "a reader that fails": () => makeSource({ ...source, read: () => Promise.reject(new Error("no such disk")) }),
  "a reader that fails later, in fit": async () => {
    let broken = false;
    const read = (indices: Int32Array) => {
      if (broken) throw new Error("no such disk");
      return new Uint8Array(144 * indices.length);
    };
    const train = await makeSource({ ...source, read });
    broken = true;
    const runDir = join(folder, "reader");
    await fit(model, { train }, { epochs: 1, runDir });
  },
  "a model that is not there": () => openModel(join(folder, "none")),
  "a model that is none": () => openModel(junk),
  "a checkpoint that is none": () => loadCheckpoint(junk),
  "tensors that are none": () => readSafetensors(junk),
  "IDX that is none": () => readIdx(junk),
  "a folder that cannot be written to": () => saveCheckpoint(join(folder, "none/model.safetensors"), model),
  "data that is not there": () => loadData(join(folder, "none")),
  "an ONNX file that is none": () => verifyOnnx(model, junk, new Float32Array(144)),
  "a table that is none": () => loadTable(junk),
  "a folder without images": () => loadImageFolder(folder),
});
has("ERR_BAYES_CLOSED", {
  "a prediction of a closed model": () => predict(closed, zeros(1)),
  "a store that is closed while a turn waits": async () => {
    const store = new Store("cpu");
    void store.turn("first", () => new Promise((done) => setTimeout(done, 5)));
    const second = store.turn("second", () => {});
    store.close();
    await second;
  },
  "a run of a closed program": () => {
    using store = new Store("cpu");
    const program = compile({ store }, { x: [1] }, ({ x }) => ({ y: ops.square(x) }));
    program.close();
    program.run({ x: 1 });
  },
});
has("ERR_BAYES_BUSY", {
  "two fits of one model": async () => {
    const first = fit(model, { train: data }, { epochs: 1 });
    const second = fit(model, { train: data }, { epochs: 1 });
    await Promise.all([first, second.catch(async (error) => first.then(() => Promise.reject(error)))]);
  },
  "closing a store during a run": async () => {
    const store = new Store("cpu");
    const program = compile({ store }, { x: [512, 512] }, ({ x }) => ({ y: ops.sum(ops.exp(x)) }));
    const run = program.runAsync({ x: new Float32Array(512 * 512) }, 20);
    try {
      store.close();
    } finally {
      await run;
      store.close();
    }
  },
});
has("ERR_BAYES_QUEUE_FULL", {
  "a call more than may wait": async () => {
    const predictor = new Predictor(model, { maxQueue: 1 });
    const first = predictor.predict(zeros(1));
    await predictor.predict(zeros(1)).finally(() => first); // else it is under way when the next test begins
  },
});
has("ERR_BAYES_NUMERIC", {
  "a loss that is not finite": () => fit(tinyBayes(), { train: data }, { epochs: 2, learningRate: 1e30 }),
  "parameters that are not, to be saved": () => {
    using broken = tinyBayes();
    const [{ name }] = broken.parameters;
    spoil(broken, name);
    saveCheckpoint(join(folder, "nan.safetensors"), broken);
  },
  "a guard of a program of one's own": async () => {
    using store = new Store("cpu");
    using program = compile({ store }, { x: [1] }, ({ x }) => {
      ops.checkFinite([x]);
      return { y: ops.square(x) };
    });
    const error = await errorOf(() => program.run({ x: NaN }));
    expect(error).toBeInstanceOf(RunError);
    throw error;
  },
});
has("ERR_BAYES_MEMORY", {
  "a tensor that is too large for any machine": () => {
    using store = new Store("cpu");
    store.define("w", [2 ** 22, 2 ** 22]);
  },
});
has("ERR_BAYES_MISSING", {
  "a CUDA device": () => new Store("cuda:9999"),
  "a card that has stopped": () => {
    const device = nullDevice();
    class Plan extends device.addon.Plan {
      override run(): never {
        throw new Error("cuda:0 has stopped (an illegal memory access was encountered)");
      }
    }
    const store = new Store({ ...device, addon: { ...device.addon, Plan } });
    compile({ store }, { x: [2] }, ({ x }) => ({ y: ops.relu(x) })).run({ x: new Float32Array(2) });
  },
  "ONNX Runtime": async () => {
    vi.doMock("onnxruntime-node", () => {
      throw new Error("Cannot find package");
    });
    try {
      await verifyOnnx(model, exportOnnx(model), new Float32Array(144));
    } finally {
      vi.doUnmock("onnxruntime-node");
    }
  },
});

it("names what the user called, and what he misspelt", async () => {
  const said = async (run: () => unknown) => (await errorOf(run)).message;
  expect(await said(() => openRun(join(folder, "none")))).toMatch(/^\[openRun\] expected the file of a model/);
  expect(await said(() => createModel({ model: "lenet5", input: [28, 28, 1], clases: 10 } as never))).toMatch(
    /^\[createModel\] expected options among .*classes.*, received "clases"$/,
  );
  expect(await said(() => fit(model, { train: data }, { learningRate: -1 }))).toMatch(
    /^\[fit\] expected the learning rate/,
  );
  expect(await said(() => fit(model, { train: data }, { beta: -1 }))).toMatch(/^\[fit\] expected beta/);
  expect(await said(() => predict(closed, zeros(1)))).not.toMatch(/turn of/);
});

it("the documents have a line for each code, and every code has been seen here", () => {
  const rows = (text: string) =>
    [...text.matchAll(/\| `(ERR_BAYES_\w+)` \| (.*?) \|/g)].map(([, code, what]) => [code, what]);
  const document = rows(read("docs/errors.md"));
  const comment = rows(read("lib/util/errors.ts")).map(([code, what]) => [
    code,
    what.replace(/\{@link (\w+)\}/, "`$1`"),
  ]);
  const declared = [...read("lib/util/errors.ts").matchAll(/\| "(ERR_BAYES_\w+)"/g)].map(([, code]) => code);
  expect(document.map(([code]) => code)).toEqual(declared);
  expect(comment.map(([code]) => code)).toEqual(declared);
  expect([...seen].sort()).toEqual([...declared].sort());
});
