import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import * as ort from "onnxruntime-node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { f32, leaf } from "../../lib/graph/node.ts";
import { OnnxGraph, type OnnxGraphOptions } from "../../lib/onnx/model.ts";
import { Message } from "../../lib/onnx/proto.ts";
import { NCHW, type OnnxAttr, type OnnxNoiseMode } from "../../lib/ops/shared/onnx.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { fieldsOf, readModel } from "../onnx-read.ts";

/** Reproducible numbers in (-1, 1). */
function numbers(length: number, seed: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(1 + i * 12.9898 + seed * 78.233));
}

async function run(bytes: Uint8Array, feeds: Record<string, [Float32Array, number[]]>): Promise<ort.Tensor> {
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
  return output(session, feeds);
}

async function output(session: ort.InferenceSession, feeds: Record<string, [Float32Array, number[]]>) {
  const tensors = Object.entries(feeds).map(([name, [data, dims]]) => [name, new ort.Tensor("float32", data, dims)]);
  return (await session.run(Object.fromEntries(tensors))).y;
}

function close(actual: ort.Tensor, expected: number[], tolerance = 1e-5): void {
  const data = actual.data as Float32Array;
  expect(data.length).toBe(expected.length);
  for (let i = 0; i < data.length; i++) expect(Math.abs(data[i] - expected[i])).toBeLessThan(tolerance);
}

// The net of these tests: x [batch, 2, 6, 6] -> conv 3x3 pad 1, 3 channels -> relu -> max pool 2 -> fc 4 -> softmax.
const conv = { w: numbers(3 * 2 * 9, 1), sigma2: numbers(3 * 2 * 9, 2).map((v) => 0.1 * v * v), b: numbers(3, 3) };
const fc4 = { w: numbers(27 * 4, 4), b: numbers(4, 5) };

function net(noiseMode: OnnxNoiseMode, options: OnnxGraphOptions = {}): Uint8Array {
  const g = new OnnxGraph({ ...options, noiseMode });
  const x = g.input("x", ["batch", 2, 6, 6], "float32", "image, NCHW");
  const geometry = { kernel_shape: [3, 3], pads: [1, 1, 1, 1], strides: [1, 1] };
  const weight = g.constant(conv.w, [3, 2, 3, 3], "conv.mu");
  let h = g.emit("Conv", [x, weight, g.constant(conv.b, [3], "conv.bias")], geometry);
  if (noiseMode !== "mean") {
    const sigma2 = g.constant(conv.sigma2, [3, 2, 3, 3], "conv.sigma2");
    const variance = g.emit("Conv", [g.emit("Mul", [x, x]), sigma2], geometry);
    const eps = g.noise("conv", variance, NCHW.dims([1, 6, 6, 3]));
    h = g.emit("Add", [h, g.emit("Mul", [g.emit("Sqrt", [variance]), eps])]);
  }
  h = g.emit("MaxPool", [g.emit("Relu", [h])], { kernel_shape: [2, 2], strides: [2, 2] });
  h = g.emit("Reshape", [h, g.constant([-1, 27], [2], "shape")]);
  h = g.emit("Gemm", [h, g.constant(fc4.w, [27, 4]), g.constant(fc4.b, [4])], { alpha: { float: 1 }, transB: 0 });
  g.output("y", g.emit("Softmax", [h], { axis: -1 }), ["batch", 4], "float32", "class probabilities");
  return g.encode();
}

/** The same net, naively, in double. */
function naive(x: Float32Array, batch: number, eps?: Float32Array): number[] {
  const out: number[] = [];
  for (let n = 0; n < batch; n++) {
    const map = (c: number, i: number, j: number) => {
      let mean = conv.b[c];
      let variance = 0;
      for (let k = 0; k < 2; k++) {
        for (let di = -1; di <= 1; di++) {
          for (let dj = -1; dj <= 1; dj++) {
            if (i + di < 0 || i + di > 5 || j + dj < 0 || j + dj > 5) continue;
            const pixel = x[((n * 2 + k) * 6 + i + di) * 6 + j + dj];
            const at = ((c * 2 + k) * 3 + di + 1) * 3 + dj + 1;
            mean += pixel * conv.w[at];
            variance += pixel * pixel * conv.sigma2[at];
          }
        }
      }
      return Math.max(0, mean + (eps ? Math.sqrt(variance) * eps[((n * 3 + c) * 6 + i) * 6 + j] : 0));
    };
    const logits = Array.from(fc4.b);
    for (let p = 0; p < 27; p++) {
      const [c, i, j] = [Math.floor(p / 9), (Math.floor(p / 3) % 3) * 2, (p % 3) * 2];
      const best = Math.max(map(c, i, j), map(c, i + 1, j), map(c, i, j + 1), map(c, i + 1, j + 1));
      for (let k = 0; k < 4; k++) logits[k] += best * fc4.w[p * 4 + k];
    }
    const top = Math.max(...logits);
    const exps = logits.map((z) => Math.exp(z - top));
    const sum = exps.reduce((a, b) => a + b, 0);
    out.push(...exps.map((e) => e / sum));
  }
  return out;
}

describe("the ONNX writer, in ONNX Runtime", () => {
  it.each([1, 5])("runs mean weights at batch %i", async (batch) => {
    const x = numbers(batch * 72, 6);
    const y = await run(net("mean"), { x: [x, [batch, 2, 6, 6]] });
    expect(y.dims).toEqual([batch, 4]);
    close(y, naive(x, batch));
  });

  it.each([1, 5])("runs noise inputs at batch %i", async (batch) => {
    const x = numbers(batch * 72, 6);
    const eps = numbers(batch * 108, 7);
    const dims = [batch, 3, 6, 6];
    const y = await run(net("inputs"), { x: [x, [batch, 2, 6, 6]], "noise/conv": [eps, dims] });
    close(y, naive(x, batch, eps));
    expect(Math.abs(naive(x, batch, eps)[0] - naive(x, batch)[0])).toBeGreaterThan(1e-3); // the noise matters
  });

  it("draws a new sample in each run of the random mode, around the mean", async () => {
    const session = await ort.InferenceSession.create(net("random"), { intraOpNumThreads: 1, logSeverityLevel: 3 });
    const x = numbers(5 * 72, 6);
    const first = await output(session, { x: [x, [5, 2, 6, 6]] });
    const second = await output(session, { x: [x, [5, 2, 6, 6]] });
    expect(first.dims).toEqual([5, 4]);
    expect(first.data).not.toEqual(second.data);
    for (let n = 0; n < 5; n++) {
      const row = (first.data as Float32Array).subarray(n * 4, n * 4 + 4);
      expect(row.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5);
    }
  });

  it("draws independent standard normals, for activations and for constants", async () => {
    const size = 20_000;
    const graph = new OnnxGraph({ noiseMode: "random", seed: 1 });
    const x = graph.input("x", ["batch"]);
    const weight = graph.constant(new Float32Array(size), [size], "weight");
    const draws = [graph.noise("a", x, ["batch"]), graph.noise("b", x, ["batch"]), graph.noise("w", weight, [size])];
    graph.output("y", graph.emit("Concat", draws, { axis: 0 }), ["n"]);
    const session = await ort.InferenceSession.create(graph.encode(), { logSeverityLevel: 3 });
    const one = (await output(session, { x: [new Float32Array(size), [size]] })).data as Float32Array;
    const two = (await output(session, { x: [new Float32Array(size), [size]] })).data as Float32Array;
    const parts = [one, two].flatMap((all) => [0, 1, 2].map((i) => all.subarray(i * size, (i + 1) * size)));
    const mean = (f: (i: number) => number) => {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += f(i);
      return sum / size;
    };
    const bound = 5 / Math.sqrt(size); // five standard errors
    for (const [k, part] of parts.entries()) {
      expect(Math.abs(mean((i) => part[i]))).toBeLessThan(bound);
      expect(Math.abs(mean((i) => part[i] ** 2) - 1)).toBeLessThan(bound * Math.SQRT2);
      for (const other of parts.slice(k + 1)) {
        expect(Math.abs(mean((i) => part[i] * other[i]))).toBeLessThan(bound);
      }
    }
  });

  it("runs every kind of attribute, several outputs and an omitted optional input", async () => {
    const g = new OnnxGraph();
    const x = g.input("x", ["batch", 4]);
    const [left, right] = g.emitAll("Split", [x, g.constant([1, 3], [2])], { axis: 1 }, 2);
    const leaky = g.emit("LeakyRelu", [left], { alpha: { float: 0.25 } }); // float
    const sum = g.emit("ReduceMean", [right], { axes: [1], keepdims: 1 }); // ints, int
    const table = g.emit("Constant", [], { value: { tensor: Float32Array.of(10), dims: [1] } }); // tensor
    const list = g.emit("Constant", [], { value_floats: { floats: [0.5] } }); // floats
    const up = g.emit("Unsqueeze", [g.emit("Add", [sum, table]), g.constant([2], [1])]);
    const scales = g.constant(Float32Array.of(1, 1, 2), [3]);
    const resized = g.emit("Resize", [up, "", scales], { mode: "nearest" }); // string, "" input
    const flat = g.emit("Reshape", [resized, g.constant(BigInt64Array.of(-1n, 2n), [2])]);
    g.output("y", g.emit("Concat", [leaky, g.emit("Mul", [flat, list])], { axis: 1 }), ["batch", 3]);
    const y = await run(g.encode(), { x: [Float32Array.of(-4, 1, 2, 6, 4, 0, 0, 0), [2, 4]] });
    expect(y.data).toEqual(Float32Array.of(-1, 6.5, 6.5, 4, 5, 5));
  });
});

describe("the ONNX writer, by its bytes", () => {
  it("writes what was asked for", () => {
    const metadata = { b: "2", a: "é" };
    const bytes = net("random", { name: "net", doc: "a net", producerVersion: "1.2.3", metadata, seed: 5 });
    expect(net("random", { name: "net", doc: "a net", producerVersion: "1.2.3", metadata, seed: 5 })).toEqual(bytes);
    const model = readModel(bytes);
    expect(model).toMatchObject({ irVersion: 8, producer: "bayescnn", producerVersion: "1.2.3", doc: "a net" });
    expect(model.opsets).toEqual({ "": 17 });
    expect(model.metadata).toEqual(metadata);
    const { name, nodes, initializers, inputs, outputs } = model.graph;
    expect(name).toBe("net");
    expect(inputs).toEqual([{ name: "x", elemType: 1, dims: ["batch", 2, 6, 6], doc: "image, NCHW" }]);
    expect(outputs).toEqual([{ name: "y", elemType: 1, dims: ["batch", 4], doc: "class probabilities" }]);
    expect(nodes.find((node) => node.opType === "Conv")?.attrs.pads).toEqual([1n, 1n, 1n, 1n]);
    expect(nodes.find((node) => node.opType === "Softmax")?.attrs.axis).toBe(-1n);
    const [weight] = initializers;
    expect(weight).toMatchObject({ name: "conv.mu", dims: [3, 2, 3, 3], dataType: 1 });
    expect(new Float32Array(weight.raw.slice().buffer)).toEqual(conv.w);
    // every value is made once, before it is used
    const known = new Set([...inputs, ...initializers].map((value) => value.name));
    for (const node of nodes) {
      for (const input of node.inputs) expect(known).toContain(input);
      for (const made of node.outputs) {
        expect(known).not.toContain(made);
        known.add(made);
      }
    }
    expect(new Set(nodes.map((node) => node.name)).size).toBe(nodes.length);
  });

  it("declares one input per noise tensor, and gives every random node its own seed", () => {
    const inputs = readModel(net("inputs")).graph.inputs;
    expect(inputs.map(({ name, dims }) => [name, dims])).toEqual([
      ["x", ["batch", 2, 6, 6]],
      ["noise/conv", ["batch", 3, 6, 6]],
    ]);
    const seeds = (seed: number) => {
      const g = new OnnxGraph({ noiseMode: "random", seed });
      const x = g.input("x", ["batch"]);
      for (let i = 0; i < 1000; i++) g.output(`y${i}`, g.noise(`n${i}`, x, ["batch"]), ["batch"]);
      const nodes = readModel(g.encode()).graph.nodes.filter((node) => node.opType === "RandomNormalLike");
      return nodes.map((node) => node.attrs.seed as number);
    };
    expect(new Set(seeds(0)).size).toBe(1000);
    expect(seeds(0).every((seed) => Number.isInteger(seed) && seed > 0 && seed < 2 ** 24)).toBe(true);
    expect(seeds(1)[0]).not.toBe(seeds(0)[0]);
  });

  it("encodes any int64 and any text", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.string({ unit: "grapheme" }), (n, text) => {
        const [int, string] = fieldsOf(new Message().int(3, n).string(100, text).bytes());
        expect(BigInt.asIntN(64, int.value as bigint)).toBe(n);
        expect(string.number).toBe(100);
        expect(new TextDecoder("utf-8", { ignoreBOM: true }).decode(string.value as Uint8Array)).toBe(text);
      }),
    );
  });

  it("keeps names apart and scalars together", () => {
    const g = new OnnxGraph();
    const names = [g.input("w", []), g.constant([1], [1], "w"), g.constant([1], [1], "w_1"), g.constant([1], [1], "w")];
    expect(new Set(names).size).toBe(4);
    expect(g.scalar(0.1)).toBe(g.scalar(Math.fround(0.1)));
    expect(g.scalar(0)).not.toBe(g.scalar(-0));
  });

  it("stores a weight once per order of its axes, transposed as ONNX Runtime does", async () => {
    const w = leaf(f32([2, 3, 4, 5]), { kind: "input", name: "w" });
    const contents = numbers(120, 8);
    for (const perm of [
      [3, 2, 0, 1],
      [0, 1, 2, 3],
      [2, 0, 3, 1],
    ]) {
      const g = new OnnxGraph({ value: (tensor) => (tensor === w ? contents : new Float32Array(0)) });
      const ours = g.weight(w, perm, "conv1.weight");
      expect(g.weight(w, perm)).toBe(ours);
      expect(g.weight(w)).not.toBe(ours);
      const theirs = g.emit("Transpose", [g.input("x", [2, 3, 4, 5])], { perm });
      g.output("y", g.emit("Sub", [theirs, ours]), ["a", "b", "c", "d"]);
      const y = await run(g.encode(), { x: [contents, [2, 3, 4, 5]] });
      expect(y.dims).toEqual(perm.map((axis) => w.shape[axis]));
      expect((y.data as Float32Array).every((difference) => difference === 0)).toBe(true);
    }
    expect(() => new OnnxGraph({ value: () => contents }).weight(w, [0, 1, 1, 2])).toThrow(/permutation of 4 axes/);
    expect(() => new OnnxGraph({ value: () => new Float32Array(1) }).weight(w)).toThrow(/120 elements/);
    expect(() => new OnnxGraph().weight(w)).toThrow(/f32\[2,3,4,5\] are not known/);
  });

  it("refuses what would make a bad file", () => {
    const g = new OnnxGraph();
    const x = g.input("x", ["batch"]);
    const bad: [() => unknown, RegExp][] = [
      [() => g.input("x", []), /not in use/],
      [() => g.emit("Relu", ["nowhere"]), /earlier value/],
      [() => g.output("y", "nowhere", []), /earlier value/],
      [() => g.constant(new Float32Array(3), [2, 2]), /4 elements for dims \[2, 2\]/],
      [() => g.constant([0.5], [1]), /an integer/],
      [() => g.emit("LeakyRelu", [x], { alpha: 0.1 }), /\.alpha\] expected an integer/],
      [() => g.emit("Relu", [x], { alpha: {} as OnnxAttr }), /an ONNX attribute/],
      [() => g.emit("Relu", [x], {}, 0), /outputs/],
      [() => g.noise("a", x, ["batch"]), /mean weights/],
      [() => new OnnxGraph().encode(), /no output/],
      [() => new OnnxGraph({ seed: -1 }), /seed/],
    ];
    for (const [act, message] of bad) {
      expect(act).toThrow(BayesError);
      expect(act).toThrow(message);
    }
    const random = new OnnxGraph({ noiseMode: "random" });
    random.noise("a", random.input("x", []), []);
    expect(() => random.noise("a", "x", [])).toThrow(/label/);
  });

  it("maps axes, shapes and transposes between NHWC and NCHW", () => {
    expect(NCHW.dims([8, 28, 30, 3])).toEqual(["batch", 3, 28, 30]);
    expect(NCHW.dims([8, 10])).toEqual(["batch", 10]);
    expect([0, 1, 2, 3, -1].map((axis) => NCHW.axis(axis, 4))).toEqual([0, 2, 3, 1, 1]);
    expect([NCHW.axis(-1, 2), NCHW.axis(1, 3)]).toEqual([1, 1]);
    const ours = ["n", "h", "w", "c"];
    const theirs = NCHW.toOnnx(4)?.map((axis) => ours[axis]);
    expect(theirs).toEqual(["n", "c", "h", "w"]);
    expect(NCHW.toOurs(4)?.map((axis) => theirs?.[axis])).toEqual(ours);
    expect([NCHW.toOurs(2), NCHW.toOnnx(3)]).toEqual([undefined, undefined]);
  });
});

// Debian's python3-onnx; /usr/bin because another Python may come first on the path.
const python = ["/usr/bin/python3", "python3"].find(
  (program) => spawnSync(program, ["-c", "import onnx"], { stdio: "ignore" }).status === 0,
);
if (python === undefined) console.log("skipped: the ONNX checker (python3-onnx is not installed)");

describe.skipIf(python === undefined)("the ONNX checker", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "bayescnn-onnx-")); // here, since a skipped suite's body runs too
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("accepts all three modes, shapes included", () => {
    const modes = ["mean", "inputs", "random"] as const;
    const files = modes.map((mode) => {
      writeFileSync(join(folder, `${mode}.onnx`), net(mode, { doc: "a net", metadata: { a: "b" } }));
      return join(folder, `${mode}.onnx`);
    });
    const script = "import onnx, sys\nfor f in sys.argv[1:]: onnx.checker.check_model(f, full_check=True); print('ok')";
    const { status, stdout, stderr } = spawnSync(python as string, ["-c", script, ...files], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect([status, stdout]).toEqual([0, "ok\nok\nok\n"]);
  });
});
