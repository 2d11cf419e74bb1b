import * as ort from "onnxruntime-node";
import { describe, expect, it } from "vitest";
import { compile } from "../../lib/graph/compile.ts";
import { type Shape, sizeOf, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { input, withTrace } from "../../lib/graph/trace.ts";
import { Lowering } from "../../lib/onnx/lower.ts";
import { permuted } from "../../lib/onnx/model.ts";
import { avgPool2d } from "../../lib/ops/avgPool2d.ts";
import { batchNorm2d, batchNorm2dInference, batchNorm2dUpdate } from "../../lib/ops/batchNorm2d.ts";
import { concat } from "../../lib/ops/concat.ts";
import { dropout } from "../../lib/ops/dropout.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { gatherBatch } from "../../lib/ops/gatherBatch.ts";
import { gatherRows } from "../../lib/ops/gatherRows.ts";
import { globalAvgPool2d } from "../../lib/ops/globalAvgPool2d.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { pixelShuffle, pixelUnshuffle } from "../../lib/ops/pixelShuffle.ts";
import { repeatBatch } from "../../lib/ops/repeatBatch.ts";
import { reshape } from "../../lib/ops/reshape.ts";
import { resizeBicubic } from "../../lib/ops/resizeBicubic.ts";
import { pad, slice } from "../../lib/ops/slice.ts";
import { transpose } from "../../lib/ops/transpose.ts";
import { testDevice } from "../device.ts";
import { uniform } from "../ops/harness.ts";

const device = testDevice();
const values = (shape: Shape, seed = 1) => Float32Array.from(uniform(shape, seed).data);

describe("batch norm's running statistics", () => {
  it("move towards the batch's by the momentum, with the unbiased variance", () => {
    using store = new Store(device);
    store.define("mean", [2], { init: () => Float32Array.of(1, -1) });
    store.define("variance", [2], { init: () => Float32Array.of(4, 9) });
    store.define("ones", [2], { init: () => Float32Array.of(1, 1) });
    using step = compile({ store }, { x: [5, 2] }, ({ x }) => {
      const { y, mean, variance } = batchNorm2d(x, store.tensor("ones"), store.tensor("ones"));
      const running = [store.tensor("mean"), store.tensor("variance")] as const;
      batchNorm2dUpdate(...running, mean, variance, { momentum: 0.25, count: 5 });
      return { y };
    });
    const want = { mean: [1, -1], variance: [4, 9] };
    for (const seed of [1, 2]) {
      const x = values([5, 2], seed);
      step.run({ x });
      for (const c of [0, 1]) {
        const channel = [0, 1, 2, 3, 4].map((i) => x[2 * i + c]);
        const mean = channel.reduce((a, b) => a + b) / 5;
        const unbiased = channel.reduce((a, b) => a + (b - mean) ** 2, 0) / 4;
        want.mean[c] = 0.75 * want.mean[c] + 0.25 * mean;
        want.variance[c] = 0.75 * want.variance[c] + 0.25 * unbiased;
        expect(store.get("mean")[c]).toBeCloseTo(want.mean[c], 6);
        expect(store.get("variance")[c]).toBeCloseTo(want.variance[c], 6);
      }
    }
  });
});

describe("dropout's mask", () => {
  it("belongs to row and sample, not to the launch: 12 rows = 3 x 4 rows = 2 batched samples", () => {
    const shape = [5, 3, 6];
    const mask = (rows: readonly number[], samples: number, sampleBase: number): Float32Array => {
      using store = new Store(device);
      const specs = {
        x: [rows.length, ...shape],
        rng: { shape: [4], dtype: "i32" as const },
        rows: { shape: [rows.length], dtype: "i32" as const },
      };
      using p = compile({ store }, specs, ({ x, rng, rows: r }) => ({
        y: dropout(x, 0.5, { rng, rows: r, stream: 3, samples }),
      }));
      const x = new Float32Array(rows.length * sizeOf(shape)).fill(1);
      return p.run({ x, rng: Int32Array.of(7, 8, 9, sampleBase), rows: Int32Array.from(rows) }).y;
    };
    const rows = Array.from({ length: 12 }, (_, i) => 3 * i);
    const both = mask(rows, 2, 4);
    const parts = [4, 5].flatMap((sample) => [0, 4, 8].flatMap((at) => [...mask(rows.slice(at, at + 4), 1, sample)]));
    expect([...both]).toEqual(parts);
    const kept = both.filter((v) => v > 0).length / both.length;
    expect(Math.abs(kept - 0.5)).toBeLessThan((4 * 0.5) / Math.sqrt(both.length)); // four standard errors
  });
});

describe("gathering a batch", () => {
  const i32 = (n: number) => ({ shape: [n], dtype: "i32" as const });
  it.each([-1, 4])("stops at example %d of a set of four", (bad) => {
    using store = new Store(device);
    using images = compile({ store }, { data: [4, 2, 2, 1], index: i32(2) }, ({ data, index }) => ({
      x: gatherBatch(data, index, { scale: [1], shift: [0] }),
    }));
    using labels = compile({ store }, { labels: i32(4), index: i32(2) }, (t) => ({
      y: gatherRows(t.labels, t.index),
    }));
    const message = new RegExp(`example ${bad} is outside the data set of 4 examples`);
    const index = Int32Array.of(0, bad);
    expect(() => images.run({ data: values([4, 2, 2, 1]), index })).toThrow(message);
    expect(() => labels.run({ labels: Int32Array.of(1, 2, 3, 4), index })).toThrow(message);
  });
});

describe("bad arguments are refused by name", () => {
  type Bad = [what: string, shape: Shape, build: (x: Tensor) => Tensor, message: RegExp];
  const bad: Bad[] = [
    ["rank", [2, 3], (x) => maxPool2d(x, { kernel: 2 }), /maxPool2d\] expected x as f32\[N, H, W, C\].*f32\[2,3\]/],
    ["kernel too large", [1, 2, 2, 1], (x) => maxPool2d(x, { kernel: 3 }), /maxPool2d.*kernel that fits into 2x2/],
    ["zero kernel", [1, 2, 2, 1], (x) => maxPool2d(x, { kernel: 0, stride: 1 }), /kernel to be an integer from 1/],
    ["huge kernel", [1, 32, 32, 1], (x) => maxPool2d(x, { kernel: 32 }), /at most 256 pixels/],
    ["negative stride", [1, 4, 4, 1], (x) => avgPool2d(x, { kernel: 2, stride: -1 }), /avgPool2d.*stride/],
    ["padding too large", [1, 4, 4, 1], (x) => avgPool2d(x, { kernel: 2, padding: 2 }), /padding less than the kernel/],
    ["global pool of a vector", [2, 3], (x) => globalAvgPool2d(x), /globalAvgPool2d/],
    ["another size", [2, 3], (x) => reshape(x, [2, 4]), /reshape.*a shape of 6 values, received \[2, 4\]/],
    ["zero dimension", [2, 3], (x) => reshape(x, [0, 3]), /every dimension to be an integer >= 1, received 0/],
    ["axis twice", [2, 3], (x) => transpose(x, [0, 0]), /transpose.*each of the axes 0 to 1 once/],
    ["no such axis", [2, 3], (x) => concat([x, x], 2), /concat.*axis/],
    ["sizes differ", [2, 3], (x) => concat([x, reshape(x, [3, 2])], 0), /concat.*f32\[2,3\] but for axis 0/],
    ["nothing to join", [2, 3], () => concat([], 0), /at least one tensor/],
    ["slice past the end", [2, 3], (x) => slice(x, [0, 2], [2, 2]), /slice.*end along axis 1.*from 1 to 3, received 4/],
    ["empty slice", [2, 3], (x) => slice(x, [0, 0], [0, 3]), /slice.*sizes/],
    ["negative padding", [2, 3], (x) => pad(x, [0, -1], [0, 0]), /pad.*before/],
    ["no samples", [2, 3], (x) => repeatBatch(x, 0), /repeatBatch.*samples/],
    ["channels do not split", [1, 2, 2, 3], (x) => pixelShuffle(x, 2), /multiple of 2x2, received 3/],
    ["pixels do not join", [1, 3, 2, 3], (x) => pixelUnshuffle(x, 2), /multiples of 2, received \[3, 2\]/],
    ["scale zero", [1, 3, 2, 3], (x) => resizeBicubic(x, { scale: 0 }), /resizeBicubic.*scale/],
    ["nothing left", [1, 3, 2, 3], (x) => resizeBicubic(x, { scale: 0.1 }), /height to be an integer from 1/],
    ["gamma of another size", [2, 3], (x) => batchNorm2d(x, reshape(x, [6]), reshape(x, [6])).y, /gamma as f32\[3\]/],
    [
      "a misspelt option",
      [2, 3],
      (x) => batchNorm2d(x, x, x, { epsilon: 1, ...{ eps: 1 } }).y,
      /among epsilon, .*"eps"/,
    ],
    ["one value a channel", [1, 3], (x) => batchNorm2d(x, reshape(x, [3]), reshape(x, [3])).y, /more than one value/],
    [
      "epsilon zero",
      [1, 3],
      (x) => {
        const c = reshape(x, [3]);
        return batchNorm2dInference(x, c, c, c, c, { epsilon: 0 });
      },
      /epsilon/,
    ],
    ["images of bytes", [2, 2, 2, 1], (x) => gatherBatch(x, x, { scale: [1], shift: [0] }), /index as i32\[B\]/],
  ];
  it.each(bad)("%s", (_what, shape, build, message) => {
    using store = new Store(device);
    expect(() => compile({ store }, { x: shape }, ({ x }) => ({ y: build(x) }))).toThrow(message);
  });
});

describe("ONNX lowerings keep the batch symbolic", () => {
  it("a model traced with a batch of two runs a batch of three", async () => {
    const model = (x: Tensor): Tensor => {
      const a = resizeBicubic(pad(x, [0, 1, 0, 0], [0, 0, 1, 0]), { height: 12, width: 10 });
      const b = pixelUnshuffle(maxPool2d(a, { kernel: 3, stride: 1, padding: 1 }), 2);
      const c = pixelShuffle(concat([b, transpose(transpose(b, [0, 2, 1, 3]), [0, 2, 1, 3])], 3), 2);
      const d = slice(c, [0, 1, 0, 2], [x.shape[0], 10, 10, 3]);
      const e = reshape(flatten(avgPool2d(d, { kernel: 2 })), [x.shape[0], 3, 5, 5]);
      return concat([flatten(e), globalAvgPool2d(c)], 1);
    };
    using store = new Store(device);
    const onnx = new Lowering(store, { noiseMode: "inputs" });
    const leaves = new Map<Tensor, string>();
    const traced = withTrace({ store }, () => {
      const x = input("x", { shape: [2, 5, 4, 3], dtype: "f32" });
      leaves.set(x, onnx.input("x", onnx.layout.dims(x.shape)));
      return model(x);
    }).value;
    const [name] = onnx.lower([traced], leaves);
    onnx.output("y", name, onnx.layout.dims(traced.shape));
    const session = await ort.InferenceSession.create(onnx.encode(), { intraOpNumThreads: 1, logSeverityLevel: 3 });
    const x = values([3, 5, 4, 3]);
    const there = permuted(x, [3, 5, 4, 3], [0, 3, 1, 2]);
    const { y } = await session.run({ x: new ort.Tensor("float32", there.data, there.dims) });
    await session.release();
    using p = compile({ store }, { x: [3, 5, 4, 3] }, (t) => ({ y: model(t.x) }));
    const want = p.run({ x }).y;
    expect(y.dims).toEqual([3, want.length / 3]);
    for (const [i, v] of want.entries()) expect(Number(y.data[i])).toBeCloseTo(v, 4);
  });
});
