// Values of another realm (a vm context, as test runners make them) and canvas pixels are taken like our own.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createContext, runInContext } from "node:vm";
import { afterAll, describe, expect, it } from "vitest";
import { compile, constant, ops, Store } from "../../lib/graph.ts";
import { bayesLinear, buildReport, exportOnnx, flatten, gaussianPrior, Model, predict } from "../../lib/index.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { accuracy, auroc, ece, softmaxRows } from "../../lib/metrics/index.ts";
import { verifyOnnx } from "../../lib/onnx/index.ts";
import { readSafetensors, writeSafetensors } from "../../lib/train/index.ts";
import { asArray, isSignal } from "../../lib/util/arrays.ts";
import { resizable } from "../hostile.ts";

const realm = createContext({});
/** `values` as a typed array of the other realm. */
const foreign = <T>(kind: string, values: readonly number[]): T =>
  runInContext(`${kind}.of(${values.join(",")})`, realm) as T;
const floats = (...values: number[]): Float32Array => foreign("Float32Array", values);
const folder = mkdtempSync(join(tmpdir(), "realms-"));
afterAll(() => rmSync(folder, { recursive: true }));
const model = () =>
  new Model({
    name: "m",
    input: [2, 2, 1],
    likelihood: categorical(2),
    build: (x) => bayesLinear(flatten(x), 2, { name: "fc" }),
  });

it("an array whose memory can be resized is taken nowhere: its length would not stay", () => {
  const bytes = new Uint8Array(resizable(ArrayBuffer, 16));
  const growable = new Uint8Array(resizable(SharedArrayBuffer, 16));
  using store = new Store("cpu");
  using p = compile({ store }, { x: { shape: [16], dtype: "u8" } }, () => ({ y: constant(1) }));
  for (const x of [bytes, growable])
    expect(() => p.run({ x })).toThrow(
      "as Uint8Array of a fixed length (slice() makes one; its buffer can be resized)",
    );
  expect(() => constant(new Float32Array(bytes.buffer))).toThrow("of a fixed length");
  expect(asArray(bytes.slice(), "Uint8Array")).toHaveLength(16);
});

describe("a typed array of another realm", () => {
  it("is no instance of ours, and the same memory", () => {
    const x = floats(1, 2, 3).subarray(1);
    expect(x).not.toBeInstanceOf(Float32Array);
    const mine = asArray(x, "Float32Array")!;
    expect(mine).toBeInstanceOf(Float32Array);
    mine[0] = 7;
    expect(x[0]).toBe(7);
    expect(asArray(x, "Int32Array")).toBeUndefined();
    expect(asArray({ [Symbol.toStringTag]: "Float32Array", length: 1 }, "Float32Array")).toBeUndefined();
    const canvas = new Uint8ClampedArray([1, 300]);
    expect(asArray(canvas, "Uint8Array")).toEqual(Uint8Array.of(1, 255));
    const bytes = Buffer.from("ab");
    expect(asArray(bytes, "Uint8Array")).toBe(bytes);
  });

  it("is taken by stores, constants, feeds and priors", () => {
    using store = new Store("cpu");
    store.define("w", [2], { init: () => floats(1, 2) });
    store.set("w", floats(3, 4));
    store.define("bytes", [2], { dtype: "u8", init: () => new Uint8ClampedArray([1, 255]) as unknown as Uint8Array });
    expect([...store.get("w"), ...store.get("bytes")]).toEqual([3, 4, 1, 255]);
    using p = compile({ store }, { x: [2] }, ({ x }) => ({
      y: ops.add(ops.mul(x, store.tensor("w")), constant(floats(10, 20))),
    }));
    expect([...p.run({ x: floats(1, 2) }).y]).toEqual([13, 28]);
    const mean: Map<string, Float32Array> = runInContext(
      '(v) => new Map([["fc/weight", v], ["fc/bias", new Float32Array(2)]])',
      realm,
    )(floats(0, 0, 0, 0, 0, 0, 0, 0));
    expect(mean).not.toBeInstanceOf(Map);
    new Model({
      name: "m",
      input: [2, 2, 1],
      likelihood: categorical(2),
      bayes: { prior: gaussianPrior({ mean }) },
      build: (x) => bayesLinear(flatten(x), 2, { name: "fc" }),
    }).close();
  });

  it("is taken by predictions, whatever made the pixels, and by metrics and the report", async () => {
    using m = model();
    const shape = [2, 2, 1] as [number, number, number];
    const options = { samples: 2, seed: 1 };
    const want = await predict(m, { images: Uint8Array.of(1, 2, 3, 4), count: 1, shape }, options);
    for (const images of [
      foreign<Uint8Array>("Uint8Array", [1, 2, 3, 4]),
      new Uint8ClampedArray([1, 2, 3, 4]) as unknown as Uint8Array,
      floats(1, 2, 3, 4),
    ])
      expect((await predict(m, { images, count: 1, shape }, options)).logits).toEqual(want.logits);

    const p = [0.9, 0.1, 0.2, 0.8];
    const [probs, labels] = [floats(...p), foreign<Int32Array>("Int32Array", [0, 1])];
    expect(accuracy(probs, labels)).toBe(1);
    expect(ece(probs, labels)).toBeCloseTo(0.15, 5);
    expect(auroc(floats(0, 0.5), floats(1, 2))).toBe(1);
    expect(softmaxRows(floats(0, 0), 2)).toEqual(Float32Array.of(0.5, 0.5));
    const html = (pixels: Uint8Array) =>
      buildReport({
        title: "t",
        test: {
          likelihood: m.likelihood,
          prediction: want,
          targets: Int32Array.of(1),
          images: { height: 2, width: 2, channels: 1, pixels },
        },
      });
    const pixels = new Uint8ClampedArray([1, 2, 3, 4]) as unknown as Uint8Array;
    expect(await html(pixels)).toBe(await html(Uint8Array.of(1, 2, 3, 4)));
  });

  it("is taken by files and by the check of an exported model", async () => {
    const path = join(folder, "x.safetensors");
    const tensors = runInContext("(v) => new Map([['x', { dtype: 'F32', shape: [2], data: v }]])", realm)(floats(1, 2));
    writeSafetensors(path, tensors);
    expect(readSafetensors(path).tensors.get("x")!.data).toEqual(Float32Array.of(1, 2));
    using m = model();
    const bytes = exportOnnx(m, { mode: "mean" });
    const verified = await verifyOnnx(m, foreign<Uint8Array>("Uint8Array", [...bytes]), floats(1, 2, 3, 4));
    expect(verified.agrees).toBe(true);
  });

  it("of another kind is refused with the way to make the right one", async () => {
    using m = model();
    using store = new Store("cpu");
    store.define("w", [2]);
    const way = /\(Float32Array\.from\(x\) makes one\), received (Float64Array\(2\)|\[1, 2\])/;
    for (const wrong of [Float64Array.of(1, 2), foreign<Float64Array>("Float64Array", [1, 2]), [1, 2]]) {
      const x = wrong as unknown as Float32Array;
      expect(() => store.set("w", x)).toThrow(way);
      expect(() => constant(x)).toThrow(way);
      using p = compile({ store }, { x: [2] }, (t) => ({ y: ops.relu(t.x) }));
      expect(() => p.run({ x })).toThrow(way);
      await expect(verifyOnnx(m, exportOnnx(m, { mode: "mean" }), x)).rejects.toThrow(way);
    }
    expect(() => store.set("w", "ab" as unknown as Float32Array)).toThrow('2 values as a Float32Array, received "ab"');
  });
});

it("an AbortSignal is known by what it does", () => {
  expect(isSignal(AbortSignal.abort())).toBe(true);
  const other = { [Symbol.toStringTag]: "AbortSignal", aborted: false, addEventListener: () => {} };
  expect(isSignal(other)).toBe(true); // a frame's, or a DOM library's
  for (const no of [new AbortController(), {}, null, undefined, "abort"]) expect(isSignal(no)).toBe(false);
});
