// verifyOnnx sees a difference and refuses what it cannot compare; metadata of any bytes.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { Model } from "../../lib/models/model.ts";
import { exportOnnx } from "../../lib/onnx/export.ts";
import { readMetadata } from "../../lib/onnx/metadata.ts";
import { OnnxGraph } from "../../lib/onnx/model.ts";
import { verifyOnnx } from "../../lib/onnx/verify.ts";
import { BayesError } from "../../lib/util/errors.ts";
import { images, make } from "./onnx-kit.ts";

const folder = mkdtempSync(join(tmpdir(), "bayescnn-onnx-verify-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("verifyOnnx sees a difference", () => {
  const name = "stride, uneven kernel and padding, flatten of a map";
  const change = (m: Model, slot: string, f: (v: number) => number) =>
    m.store.set(slot, (m.store.get(slot) as Float32Array).map(f));

  it.each([
    ["mean", "mu", (v: number) => v + 1e-3],
    ["noise", "rho", (v: number) => v + 1e-2],
    ["random", "rho", (v: number) => v + 1],
    ["ensemble", "rho", (v: number) => v + 1],
  ] as const)("in mode %s, of %s", async (mode, what, f) => {
    using m = make(name);
    const bytes = exportOnnx(m, { mode, samples: 4 });
    const before = await verifyOnnx(m, bytes, images(m, 2), { runs: 100 });
    expect(before.agrees).toBe(true);
    change(m, `bayesLinear_0/weight/${what}`, f);
    const v = await verifyOnnx(m, bytes, images(m, 2), { runs: 100 });
    expect(v.maxDifference).toBeGreaterThan(v.tolerance);
    expect(v.agrees).toBe(false);
  });

  it("and refuses what it cannot compare", async () => {
    using m = make(name);
    const bytes = exportOnnx(m);
    await expect(verifyOnnx(m, bytes, new Float32Array(7))).rejects.toThrow(/\[verifyOnnx\] expected images .* 9x8x3/);
    await expect(verifyOnnx(m, bytes.subarray(0, 100), images(m, 1))).rejects.toThrow(/expected an ONNX model/);
    await expect(verifyOnnx(m, new Uint8Array(0), images(m, 1))).rejects.toThrow(/expected an ONNX model/);
    await expect(verifyOnnx(m, join(folder, "none.onnx"), images(m, 1))).rejects.toThrow(/cannot read .*none\.onnx/);
    const other = new OnnxGraph();
    other.output("y", other.input("image", ["batch", 3, 9, 8]), ["batch", 3, 9, 8]);
    await expect(verifyOnnx(m, other.encode(), images(m, 1))).rejects.toThrow(/received another ONNX model/);
  });

  it("and says how to get ONNX Runtime where there is none", async () => {
    using m = make(name);
    vi.doMock("onnxruntime-node", () => {
      throw new Error("Cannot find package");
    });
    try {
      await expect(verifyOnnx(m, exportOnnx(m), images(m, 1))).rejects.toThrow(
        /expected the package onnxruntime-node, received none: `npm install onnxruntime-node`/,
      );
    } finally {
      vi.doUnmock("onnxruntime-node");
    }
  });

  it("reading metadata of any bytes is an answer or one clear error", () => {
    using m = make("no biases");
    const bytes = exportOnnx(m, { mode: "noise" });
    const read = (b: Uint8Array) => {
      try {
        readMetadata(b);
      } catch (error) {
        if (!(error instanceof BayesError)) throw error;
      }
    };
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), read));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), fc.boolean(), (at, value, cut) => {
        const damaged = cut ? bytes.slice(0, at) : bytes.slice();
        if (!cut) damaged[at] = value;
        read(damaged);
      }),
    );
  });
});
