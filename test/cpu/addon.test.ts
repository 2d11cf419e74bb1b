// The boundary itself, without the TypeScript that checks everything first: whatever is called in whatever order ends in
// an error that says why, never in a crash; worker_threads share the addon, its pool and its results.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterAll, describe, expect, it, vi } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { Store } from "../../lib/graph/store.ts";
import { withTrace } from "../../lib/graph/trace.ts";
import { bayesConv2d } from "../../lib/layers/conv.ts";
import { bayesLinear } from "../../lib/layers/linear.ts";
import type { NativeProgram, NativeRef } from "../../lib/native/addon.ts";
import { cpu, type Device, setThreads, threads } from "../../lib/native/device.ts";
import { adamUpdate } from "../../lib/ops/adam.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { gatherBatch } from "../../lib/ops/gatherBatch.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { mean } from "../../lib/ops/mean.ts";
import { relu } from "../../lib/ops/relu.ts";
import { sgdUpdate } from "../../lib/ops/sgd.ts";
import { softmaxCrossEntropy } from "../../lib/ops/softmaxCrossEntropy.ts";
import { square } from "../../lib/ops/square.ts";
import { sgd } from "../../lib/train/optimizers.ts";
import { resizable } from "../hostile.ts";
import { nullDevice } from "../null-device.ts";
import { uniform } from "../ops/harness.ts";

const { addon } = cpu();
const before = threads();
afterAll(() => setThreads(before));

const at = (space: number, shape: readonly number[], more: Partial<NativeRef> = {}): NativeRef => ({
  dtype: 0,
  space,
  index: 0,
  offset: 0,
  shape,
  ...more,
});
const arena = 0;
const stored = 1;
const feed = 2;
const result = 3;

/** result = exp(feed), or what `change` makes of it. */
const program = (change: Partial<NativeProgram> = {}): NativeProgram => ({
  steps: [{ op: "exp", inputs: [at(feed, [4])], outputs: [at(result, [4])], attrs: {}, commits: false }],
  feedBytes: [16],
  resultBytes: [16],
  arenaBytes: 0,
  ...change,
});
const twice = (list: "inputs" | "outputs") => {
  const [step] = program().steps;
  return { ...step, [list]: [...step[list], ...step[list]] };
};
/** Running statistics of one channel in the arena, and a guard behind. */
const updating = (commits: boolean): Partial<NativeProgram> => {
  const inputs = [0, 64, 128, 192].map((offset) => at(arena, [1], { offset }));
  const attrs = { momentum: [0.1], count: [4] };
  const guard = { op: "checkFinite", inputs, outputs: [], attrs: {}, commits: false };
  return { steps: [{ op: "batchNorm2dUpdate", inputs, outputs: [], attrs, commits }, guard], arenaBytes: 256 };
};
const overlapping = { ...program().steps[0], inputs: [at(arena, [4])], outputs: [at(arena, [4], { offset: 4 })] };
/** Its first step makes these of the store's buffer 0, and is frozen. */
const freezing = (outputs: NativeProgram["steps"][number]["outputs"], more: NativeProgram["steps"] = []) => {
  const first = { ...program().steps[0], inputs: outputs.map(() => at(stored, [4])), outputs };
  return { steps: [...(outputs.length ? [first] : []), ...more], arenaBytes: 16, frozenSteps: outputs.length || 1 };
};
const fromFrozen = { ...program().steps[0], inputs: [at(arena, [4])] };
const overFrozen = { ...program().steps[0], outputs: [at(arena, [4])] };
const x = Float32Array.of(0, 1, 2, 3);
const y4 = new Float32Array(4);
const feeds = (data = x, stride = 0) => [{ data, stride }];

/** Adds buffer `one` to buffer `counter`: with enough steps, a run that is still under way when the next line is reached. */
const counting = (counter: number, one: number): NativeProgram => {
  const [total, step] = [counter, one].map((index) => at(stored, [1], { index }));
  const steps = [{ op: "add", inputs: [total, step], outputs: [total], attrs: {}, commits: true }];
  return { steps, feedBytes: [], resultBytes: [], arenaBytes: 0 };
};
const long = (store: InstanceType<typeof addon.Store>) => {
  const counter = store.alloc(4);
  const one = store.alloc(4);
  store.write(one, 0, Float32Array.of(1));
  return { plan: new addon.Plan(store, counting(counter, one)), counter };
};

it.each([
  ["BAYESCNN_SIMD", "sse9", "avx512bf16, avx512, avx2, base"],
  ["BAYESCNN_BF16", "fp8", "pairs, rounded"],
])("knows no other words in %s than its own", async (name, word, known) => {
  vi.stubEnv(name, word);
  vi.resetModules();
  const fresh = await import("../../lib/native/addon.ts");
  expect(() => fresh.loadAddon()).toThrow(`[addon] expected ${name} to be one of ${known}, received "${word}"`);
  vi.unstubAllEnvs();
});

describe("a plan", () => {
  it("computes, takes a stride, and leaves what it was not given", () => {
    const plan = new addon.Plan(new addon.Store(), program());
    const y = new Float32Array(10).fill(-1);
    plan.run(2, feeds(Float32Array.of(0, 0, 0, 0, 1, 1, 1, 1), 16), [y]);
    expect(Array.from(y, (v) => v.toFixed(4))).toEqual([
      ...Array(4).fill("1.0000"),
      ...Array(4).fill("2.7183"),
      ...Array(2).fill("-1.0000"),
    ]);
    plan.close();
  });

  it.each([
    ["an unknown op", { steps: [{ ...program().steps[0], op: "nonsense" }] }, "no op has the name 'nonsense'"],
    ["an input past the end of its feed", { feedBytes: [12] }, "outside its feed"],
    ["an output past the end of its result", { resultBytes: [15] }, "outside its result"],
    ["a feed that there is not", { feedBytes: [] }, "outside its feed"],
    ["an arena of a petabyte", { arenaBytes: 2 ** 50 }, "out of memory: 1073741824 MiB were asked for"],
    ["an arena larger than the machine", { arenaBytes: 2 ** 45 }, "out of memory: 33554432 MiB were asked for"],
    ["an arena beyond int64", { arenaBytes: 1e30 }, "out of memory"],
    ["an arena of negative size", { arenaBytes: -1 }, "out of memory"],
    ["an arena of no number", { arenaBytes: Number.NaN }, "arenaBytes as a whole number, received NaN"],
    ["a feed of negative size", { feedBytes: [-1] }, "impossible size, -1 bytes"],
    ["a result beyond all memory", { resultBytes: [16, 2 ** 62] }, "impossible size"],
    ["a size that is half a byte", { resultBytes: [16.5] }, "resultBytes as a whole number, received 16.5"],
    ["an op that ends early", { steps: [{ ...program().steps[0], op: "exp\0" }] }, "an op without a NUL"],
    // exp takes a list, of which each input has an output
    ["an input too many", { steps: [twice("inputs")] }, "[exp] expected an output y as f32[...], received 1 output"],
    ["an output too many", { steps: [twice("outputs")] }, "[exp] expected 1 outputs, received 2"],
    [
      "an attribute that the op does not know",
      { steps: [{ ...program().steps[0], attrs: { slope: [1] } }] },
      "no attribute slope",
    ],
    ["an output in a feed", { steps: [{ ...program().steps[0], outputs: [at(feed, [4])] }] }, "outside the feeds"],
    ["an update that does not commit", updating(false), "[batchNorm2dUpdate] expected a step that commits"],
    ["a guard behind an update", updating(true), "[checkFinite] expected to come before the steps that commit"],
    ["more frozen steps than steps", { frozenSteps: 2 }, "no program has so many frozen steps"],
    ["a frozen step that reads a feed", { frozenSteps: 1 }, "a frozen step reads what is not frozen"],
    ["a frozen step that writes a result", freezing([at(result, [4])]), "a frozen step writes a result"],
    ["frozen steps beside an update", freezing([], counting(0, 0).steps), "with frozen steps writes to the store"],
    [
      "what is frozen written over",
      freezing([at(arena, [4])], [fromFrozen, overFrozen]),
      "frozen step has made is written over",
    ],
    ["an output half over its input", { steps: [overlapping], arenaBytes: 32 }, "memory of its own"],
    ...(
      [
        ["a tensor outside the arena", at(arena, [4], { offset: 64 }), "outside the arena"],
        ["a negative offset", at(feed, [4], { offset: -16 }), "an offset is out of range"],
        ["an offset beyond int64", at(stored, [4], { offset: 2 ** 63 }), "an offset is out of range"],
        ["a store buffer that there is not", at(stored, [4], { index: 7 }), "no buffer 7"],
        ["a negative dimension", at(feed, [-4]), "a dimension is out of range"],
        ["dimensions whose product overflows", at(feed, [2 ** 31, 2 ** 31, 2 ** 31]), "a dimension is out of range"],
        ["seven dimensions", at(feed, [1, 1, 1, 1, 1, 1, 4]), "more than 6 dimensions"],
        ["no known space", at(9, [4]), "no known space"],
        ["no known dtype", at(feed, [4], { dtype: 77 }), "no dtype has the number 77"],
        ["an offset between floats", at(feed, [3], { offset: 2 }), "not aligned"],
        ["an index beyond 32 bits", at(feed, [4], { index: 2 ** 32 }), "an index of 32 bits, received 4294967296"],
        [
          "an index that is no number",
          at(feed, [4], { index: Number.NaN }),
          "an index as a whole number, received NaN",
        ],
        [
          "a dimension that is a text",
          at(feed, ["4"] as never),
          "a dimension as a whole number, received something else",
        ],
        ["no place", at(4, [4]), "[exp] expected a place for the input x, received none"],
      ] as const
    ).map(([name, input, why]) => [name, { steps: [{ ...program().steps[0], inputs: [input] }] }, why] as const),
  ] as const)("with %s is refused", (_, change, why) => {
    expect(() => new addon.Plan(new addon.Store(), program(change as Partial<NativeProgram>))).toThrow(why);
  });

  it("is not made of something else", () => {
    const plan = new addon.Plan(new addon.Store(), program());
    for (const store of [plan, {}, null, undefined, 3, "store"])
      expect(() => new addon.Plan(store as never, program())).toThrow("expected a Store");
    for (const what of [null, 7, {}, { steps: 1 }, { ...program(), steps: [null] }, { ...program(), feedBytes: 3 }])
      expect(() => new addon.Plan(new addon.Store(), what as never)).toThrow();
    expect(() => (addon.Plan as unknown as () => void)()).toThrow();
  });

  it("is made of what it has read, once, whatever a getter does meanwhile", () => {
    const store = new addon.Store();
    const index = store.alloc(16);
    const step = { ...program().steps[0], inputs: [at(stored, [4], { index })] };
    const reading = (meanwhile: () => void) => {
      const outputs = () => {
        meanwhile();
        return step.outputs;
      };
      return program({ steps: [Object.defineProperty({ ...step }, "outputs", { get: outputs })] });
    };
    expect(
      () =>
        new addon.Plan(
          store,
          reading(() => store.free(index)),
        ),
    ).toThrow("no buffer 0");
    let reads = 0;
    const growing = { ...program().steps[0], get inputs() { return Array(++reads).fill(at(feed, [4])); } }; // biome-ignore format: short
    new addon.Plan(store, program({ steps: [growing] })).close();
    expect(reads).toBe(1);
    expect(
      () =>
        new addon.Plan(
          store,
          reading(() => store.close()),
        ),
    ).toThrow("the store is closed");
  });

  it.each([
    ["no feed", 1, [], [x], "wrong number"],
    ["a short feed", 1, feeds(new Float32Array(3)), [new Float32Array(4)], "a feed is too short"],
    ["a feed too short for its stride", 2, feeds(x, 16), [new Float32Array(8)], "a feed is too short"],
    ["a stride beyond all memory", 3, feeds(x, 2 ** 62), [new Float32Array(12)], "a feed is too short"],
    ["a feed between two numbers", 1, [{ data: new Uint8Array(20).subarray(1), stride: 0 }], [y4], "on whole elements"],
    ["a stride of a number and a half", 2, feeds(new Float32Array(8), 6), [new Float32Array(8)], "on whole elements"],
    ["a result between two numbers", 1, feeds(), [new Uint8Array(20).subarray(1)], "on whole elements"],
    ["a negative stride", 2, feeds(x, -16), [new Float32Array(8)], "a feed is too short"],
    ["a short result", 2, feeds(), [new Float32Array(7)], "a result array is too short"],
    ["a plain array", 1, [{ data: [1, 2, 3, 4], stride: 0 }], [new Float32Array(4)], "expected a typed array"],
    ["a detached array", 1, feeds(detached()), [new Float32Array(4)], "a feed is too short"],
    ["nothing", 1, undefined, undefined, "wrong number"],
    ["no steps", 0, feeds(), [new Float32Array(4)], "at least one step"],
    ["NaN steps", Number.NaN, feeds(), [new Float32Array(4)], "at least one step"],
    ["more steps than 31 bits hold", 2 ** 32 + 1, feeds(), [new Float32Array(4)], "at most 2^31 - 1"],
  ] as const)("is not run with %s", (_, steps, given, results, why) => {
    const plan = new addon.Plan(new addon.Store(), program());
    expect(() => plan.run(steps, given as never, results as never)).toThrow(why);
    expect(() => plan.runAsync(steps, given as never, results as never)).toThrow(why);
    const y = new Float32Array(4);
    plan.run(1, feeds(), [y]); // and is none the worse for it
    expect(y[0]).toBe(1);
  });

  it("off the thread computes from what its arrays held when it was called", async () => {
    const steps = 64;
    const rows = 4096;
    const ref = (space: number) => at(space, [rows]);
    const exp = { op: "exp", inputs: [ref(feed)], outputs: [ref(result)], attrs: {}, commits: false };
    const plan = new addon.Plan(new addon.Store(), {
      steps: [exp],
      feedBytes: [4 * rows],
      resultBytes: [4 * rows],
      arenaBytes: 0,
    });
    const bytes = 4 * rows * steps;
    const mistreat: Record<string, (buffer: ArrayBuffer) => void> = {
      changed: (buffer) => void new Float32Array(buffer).fill(9),
      "shrunk to nothing": (buffer) => (buffer as unknown as { resize(n: number): void }).resize(0),
      transferred: (buffer) => void structuredClone(buffer, { transfer: [buffer] }),
    };
    for (const [how, spoil] of Object.entries(mistreat)) {
      const buffer = resizable(ArrayBuffer, bytes);
      const y = new Float32Array(rows * steps);
      const run = plan.runAsync(steps, feeds(new Float32Array(buffer), 4 * rows), [y]);
      spoil(buffer);
      await run;
      expect([how, y.every((v) => v === 1)]).toEqual([how, true]);
    }
    const y = new Float32Array(rows * steps);
    const run = plan.runAsync(steps, feeds(new Float32Array(rows)), [y]);
    structuredClone(y.buffer, { transfer: [y.buffer] });
    await expect(run).rejects.toThrow("a result array was taken away during the run");
    plan.close();
  });

  it("is under way before any more of the caller's code can run", async () => {
    const plan = new addon.Plan(new addon.Store(), program());
    const y = new Float32Array(4);
    let called = 0;
    const set = function (this: object, value: unknown) {
      Object.defineProperty(this, 0, { value, writable: true, configurable: true, enumerable: true });
      if (value !== y || called++) return;
      expect(() => plan.close()).toThrow("busy");
      expect(() => plan.runAsync(1, feeds(), [y4])).toThrow("busy");
    };
    Object.defineProperty(Array.prototype, 0, { configurable: true, set });
    let run: Promise<void>;
    try {
      run = plan.runAsync(1, feeds(), [y]);
    } finally {
      delete (Array.prototype as { 0?: unknown })[0];
    }
    await run;
    expect(y[0]).toBe(1);
    plan.close();
  });

  it("looks at its arguments after the last getter has run", () => {
    const plan = new addon.Plan(new addon.Store(), { ...program(), feedBytes: [16, 16] });
    const big = new Float32Array(1 << 20);
    const taking = {
      get data() {
        structuredClone(big.buffer, { transfer: [big.buffer] });
        return x;
      },
      stride: 0,
    };
    expect(() => plan.run(1, [{ data: big, stride: 0 }, taking], [new Float32Array(4)])).toThrow("a feed is too short");
    const closing = {
      get data() {
        plan.close();
        return x;
      },
      stride: 0,
    };
    expect(() => plan.run(1, [...feeds(), closing], [new Float32Array(4)])).toThrow("is closed");
  });

  it("is not run after it, its store or a buffer of its was closed, in any order", async () => {
    const store = new addon.Store();
    const { plan, counter } = long(store);
    store.free(counter);
    expect(() => plan.run(1, [], [])).toThrow("a buffer that the program uses has been freed");
    await expect(plan.runAsync(1, [], [])).rejects.toThrow("freed");
    const other = long(store).plan;
    other.close();
    expect(() => other.run(1, [], [])).toThrow("the compiled program is closed");
    store.close();
    expect(() => plan.run(1, [], [])).toThrow("the store is closed");
    expect(() => store.alloc(4)).toThrow("the store is closed");
    expect(() => new addon.Plan(store, program())).toThrow("the store is closed");
    for (const what of [plan, other, store, plan]) what.close();
  });

  it("runs once at a time: while a run is under way, all else on its store is refused", async () => {
    const store = new addon.Store();
    const { plan, counter } = long(store);
    const other = new addon.Plan(store, program());
    const y = new Float32Array(4);
    const run = plan.runAsync(2_000_000, [], []);
    expect(store.busy).toBe(true);
    for (const call of [
      () => plan.run(1, [], []),
      () => plan.runAsync(1, [], []),
      () => other.run(1, feeds(), [y]),
      () => plan.close(),
      () => store.close(),
      () => store.alloc(4),
      () => store.free(counter),
      () => store.read(counter, 0, y),
      () => store.write(counter, 0, y),
    ])
      expect(call).toThrow("under way; await it first");
    await run;
    expect(store.busy).toBe(false);
    const total = new Float32Array(1);
    store.read(counter, 0, total);
    expect(total[0]).toBe(2_000_000);
    await other.runAsync(1, feeds(), [y]);
    expect(y[0]).toBe(1);
    plan.close();
    store.close();
  });
});

describe("a store", () => {
  it("refuses what lies outside its buffers", () => {
    const store = new addon.Store();
    const index = store.alloc(16);
    const some = new Float32Array(4);
    for (const [offset, data] of [
      [4, some],
      [0, new Float32Array(5)],
      [-4, some],
      [2 ** 62, some],
      [2 ** 63, some],
      [17, new Uint8Array(0)],
    ] as const) {
      expect(() => store.read(index, offset, data)).toThrow("past the end of buffer");
      expect(() => store.write(index, offset, data)).toThrow("past the end of buffer");
    }
    for (const other of [-1, 1, 2 ** 31, 2 ** 32]) expect(() => store.read(other, 0, some)).toThrow("no buffer");
    for (const other of [Number.NaN, 0.5, "0"]) {
      expect(() => store.read(other as number, 0, some)).toThrow("expected the number of a buffer as a whole number");
      expect(() => store.write(index, other as number, some)).toThrow("expected an offset as a whole number");
      expect(() => store.free(other as number)).toThrow("expected the number of a buffer as a whole number");
      expect(() => store.alloc(other as number)).toThrow("expected the bytes of a buffer as a whole number");
    }
    expect(() => store.alloc(-1)).toThrow("out of memory");
    expect(() => store.alloc(2 ** 60)).toThrow("out of memory");
    expect(() => store.read(index, 0, [1] as never)).toThrow("expected a typed array");
    store.free(index);
    expect(() => store.read(index, 0, some)).toThrow("no buffer");
    expect(() => store.free(index)).toThrow("no buffer");
    expect(store.alloc(4)).toBe(index); // zeroed again
    store.read(index, 0, some.subarray(0, 1));
    expect(some[0]).toBe(0);
    store.close();
  });

  it("reads and writes memory that threads share", () => {
    const store = new addon.Store();
    const index = store.alloc(8);
    const shared = new Float32Array(new SharedArrayBuffer(16), 4, 2);
    shared.set([3, 4]);
    store.write(index, 0, shared);
    shared.fill(0);
    store.read(index, 0, shared);
    expect([...shared]).toEqual([3, 4]);
    store.close();
  });
});

/** A small Bayesian net and its training step. */
const BATCH = 16;
function net(device: Device) {
  const store = new Store(device);
  const i32 = (shape: number[]) => ({ shape, dtype: "i32" as const });
  const inputs = { x: [BATCH, 8, 8, 1], labels: i32([BATCH]), rng: i32([4]), rows: i32([BATCH]), lr: [] };
  const program = compile({ store }, inputs, ({ x, labels, rng, rows, lr }) => {
    const options = { store, training: true, mode: "sample", noise: { rng, rows }, seed: 3 } as const;
    const { value: loss, trace } = withTrace(options, () => {
      const maps = maxPool2d(relu(bayesConv2d(x, 4, 3)), { kernel: 2 });
      return mean(softmaxCrossEntropy(bayesLinear(flatten(maps), 3), labels));
    });
    sgd().update(trace.parameters, grad(loss, [...trace.parameters.values()]), lr, undefined as never);
    return { loss };
  });
  return { store, program };
}
const values = {
  x: Float32Array.from(uniform([BATCH, 8, 8, 1], 1).data),
  labels: Int32Array.from({ length: BATCH }, (_, i) => i % 3),
  rng: Int32Array.of(1, 2, 3, 0),
  rows: Int32Array.from({ length: BATCH }, (_, i) => i),
  lr: Float32Array.of(0.1),
};
const [STEPS, CHUNKS] = [250, 4];

async function trained(): Promise<Float32Array[]> {
  const { store, program } = net(cpu());
  const results: Float32Array[] = [];
  for (let i = 0; i < CHUNKS; i++) results.push((await program.runAsync(values, STEPS)).loss);
  for (const name of store.slots.keys()) results.push(store.get(name) as Float32Array);
  program.close();
  store.close();
  return results;
}

it("a compiled program that waits for its turn runs with the values it was called with", async () => {
  using store = new Store("cpu");
  using program = compile({ store }, { x: [4] }, ({ x }) => ({ y: relu(x) }));
  const values = new Float32Array(4);
  const runs = [1, 2, 3].map((v) => program.runAsync({ x: values.fill(v) }, 3)); // one array for all
  values.fill(9);
  const results = await Promise.all(runs);
  expect(results.map(({ y }) => [...new Set(y)])).toEqual([[1], [2], [3]]);

  // a Buffer's own slice() is a view
  const spec = { d: { shape: [1, 2, 2, 1], dtype: "u8" }, i: { shape: [1], dtype: "i32" } } as const;
  using gather = compile({ store }, spec, ({ d, i }) => ({ y: gatherBatch(d, i, { scale: [1], shift: [0] }) }));
  const bytes = Buffer.from([1, 2, 3, 4]);
  const first = program.runAsync({ x: values }, 1000);
  const second = gather.runAsync({ d: bytes, i: Int32Array.of(0) });
  bytes.fill(9);
  await first;
  expect([...(await second).y]).toEqual([1, 2, 3, 4]);
});

it("an update is refused before it writes what no rate or step can be meant by", () => {
  using store = new Store("cpu");
  store.define("w", [2], { trainable: true, init: () => Float32Array.of(1, 2) });
  const step = { shape: [], dtype: "i32" } as const;
  for (const name of ["m", "v"]) store.define(name, [2]);
  const [w, m, v] = ["w", "m", "v"].map((name) => store.tensor(name));
  using sgd = compile({ store }, { lr: [] }, ({ lr }) => {
    sgdUpdate(lr, [{ param: w, grad: square(w) }]);
    return { lr };
  });
  using adam = compile({ store }, { lr: [], step }, ({ lr, step }) => {
    adamUpdate(lr, step, [{ param: w, grad: square(w), m, v }]);
    return { lr };
  });
  for (const lr of [Number.NaN, Infinity]) {
    expect(() => sgd.run({ lr })).toThrow(expect.objectContaining({ code: "ERR_BAYES_NUMERIC" }));
    expect(() => adam.run({ lr, step: 1 })).toThrow("the learning rate is not finite");
  }
  for (const step of [0, -5])
    expect(() => adam.run({ lr: 0.1, step })).toThrow("the number of the step is not from 1 on");
  expect([...store.get("w")]).toEqual([1, 2]);
  const twice = () =>
    compile({ store }, { lr: [] }, ({ lr }) => {
      sgdUpdate(lr, [{ param: w, grad: w }]);
      return { lr };
    });
  expect(twice).toThrow("[sgd] expected values of their own beside w, which is written, received itself");
});

describe("worker_threads", () => {
  const file = new URL("./addon-worker.mjs", import.meta.url);
  const worker = (workerData: object) => new Worker(file, { workerData });

  it("train at the same time as the main thread, to the same bits, whatever the thread count does", async () => {
    const { store, program } = net(nullDevice());
    const buffers = [...store.slots.values()].map((slot, i) => {
      const { name } = slot;
      expect(store.bufferOf(slot)).toBe(i); // the worker makes them in this order
      return store.get(name);
    });
    const size = buffers.length;
    if (program.planned.constants.length) buffers.push(program.planned.constants);
    const feeds = [...program.inputs.keys()].map((name) => ({ data: values[name as keyof typeof values], stride: 0 }));
    const task = { task: "train", program: program.planned.native, buffers, feeds, steps: STEPS, chunks: CHUNKS };
    setThreads(1);
    const alone = await trained();
    expect(alone[CHUNKS - 1][STEPS - 1]).toBeLessThan(alone[0][0]); // it learns
    setThreads(3);
    let going = true;
    const changing = (async () => {
      for (let n = 0; going; n++) {
        setThreads(1 + (n % 5)); // while runs are under way
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    })();
    const theirs = [1, 2].map(() => once(worker(task), "message") as Promise<[Float32Array[]]>);
    const mine = await trained();
    const [[first], [second]] = await Promise.all(theirs);
    going = false;
    await changing;
    expect(mine).toEqual(alone);
    for (const results of [first, second]) expect(results.slice(0, CHUNKS + size)).toEqual(alone);
  });

  it("share the thread count of the process", async () => {
    setThreads(2);
    expect(await once(worker({ task: "threads" }), "message")).toEqual([2]);
  });

  it("may be terminated while a run is under way", async () => {
    for (let i = 0; i < 8; i++) {
      const w = worker({ task: "endless", program: counting(0, 1) });
      await once(w, "message");
      await new Promise((resolve) => setTimeout(resolve, 5 * i));
      await w.terminate();
    }
    const y = new Float32Array(4);
    new addon.Plan(new addon.Store(), program()).run(1, feeds(), [y]);
    expect(y[0]).toBe(1);
  });

  it("may be the only ones that ever loaded the addon", () => {
    const code = `const { once } = await import("node:events");
      const { Worker } = await import("node:worker_threads");
      for (let i = 0; i < 3; i++) {
        const w = new Worker(${JSON.stringify(file.pathname)}, { execArgv: [], workerData: ${JSON.stringify({ task: "wide" })} });
        await once(w, "message");
        await w.terminate();
        await new Promise((r) => setTimeout(r, 30)); // the pool's threads sleep in the addon's code, which is still there
      }
      console.log("ended");`;
    expect(execFileSync(process.execPath, ["--input-type=module", "-e", code], { encoding: "utf8" })).toBe("ended\n");
  });

  it("or not: a process may exit while a run is under way", () => {
    const code = `const { endless } = await import(${JSON.stringify(file.href)});
      endless(${JSON.stringify(counting(0, 1))});
      setTimeout(() => process.exit(7), 20);`;
    const run = () => execFileSync(process.execPath, ["--input-type=module", "-e", code], { stdio: "pipe" });
    expect(run).toThrow(expect.objectContaining({ status: 7 }));
  });
});

function detached(): Float32Array<ArrayBuffer> {
  const array = new Float32Array(4);
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}
