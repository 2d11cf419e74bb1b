// The exported file itself: what it declares and stores, what export refuses, and what the ONNX checker says.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { apply, constant, type Op, type Tensor } from "../../lib/graph/node.ts";
import { linear } from "../../lib/layers/linear.ts";
import { maskName } from "../../lib/layers/mask.ts";
import { scope } from "../../lib/layers/scope.ts";
import { categorical } from "../../lib/likelihoods/categorical.ts";
import { createModel } from "../../lib/models/create.ts";
import { Model } from "../../lib/models/model.ts";
import { type ExportOptions, exportOnnx } from "../../lib/onnx/export.ts";
import { readMetadata } from "../../lib/onnx/metadata.ts";
import { add } from "../../lib/ops/add.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { readModel } from "../onnx-read.ts";
import { random } from "../ops/harness.ts";
import { expectAgreement, floats, images, make, nets } from "./onnx-kit.ts";

const folder = mkdtempSync(join(tmpdir(), "bayescnn-onnx-file-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("what the file says", () => {
  const name = "branches: concat, sum, slice, pixel shuffle, resize";

  it("has a symbolic batch, named inputs and outputs, and metadata", () => {
    using m = make(name);
    const bytes = exportOnnx(m, { mode: "noise" });
    const { graph, metadata, opsets } = readModel(bytes);
    expect(opsets).toEqual({ "": 17 });
    expect(graph.inputs.map((i) => [i.name, i.dims])).toEqual([
      ["image", ["batch", 2, 6, 7]],
      ["noise/bayesConv2d_0", ["batch", 4, 6, 7]],
      ["noise/bayesConv2d_1", ["batch", 4, 6, 7]],
      ["noise/bayesLinear_0", ["batch", 3]],
    ]);
    expect(graph.outputs.map((o) => [o.name, o.dims])).toEqual([
      ["logits", ["batch", 3]],
      ["probabilities", ["batch", 3]],
    ]);
    expect(JSON.parse(metadata["bayescnn.likelihood"])).toEqual({ kind: "categorical", classes: 3 });
    expect(JSON.parse(metadata["bayescnn.config"])).toMatchObject({ input: [6, 7, 2] });
    const noise = JSON.parse(metadata["bayescnn.noise"]);
    expect(noise[0]).toEqual({
      name: "noise/bayesConv2d_0",
      label: "bayesConv2d_0",
      stream: 0,
      shape: [6, 7, 4],
      shared: false,
    });
    expect(Object.fromEntries(readMetadata(bytes))).toEqual(metadata);
  });

  it("declares weight noise once for the whole batch", () => {
    using m = make("noise of the weights");
    const { graph } = readModel(exportOnnx(m, { mode: "noise" }));
    const dims = Object.fromEntries(graph.inputs.map((i) => [i.name, i.dims]));
    expect(dims["noise/bayesConv2d_0/weight"]).toEqual([1, 3, 3, 2, 3]);
    expect(dims["noise/bayesConv2d_0/bias"]).toEqual([1, 3]);
    expect(dims["noise/bayesLinear_0/weight"]).toEqual([1, 27, 5]);
  });

  it("stores sigma squared, never rho, and each parameter once", () => {
    using m = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
    const mean = readModel(exportOnnx(m, { mode: "mean" })).graph;
    const random = readModel(exportOnnx(m, { mode: "random" })).graph;
    const count = (g: typeof mean) =>
      g.initializers.filter((i) => i.dataType === 1).reduce((sum, i) => sum + i.dims.reduce((a, b) => a * b, 1), 0);
    expect(mean.nodes.some((n) => n.opType.startsWith("Random"))).toBe(false);
    expect(count(mean)).toBeLessThan(m.parameterCount / 2 + 10);
    expect(count(random)).toBeLessThan(m.parameterCount + 10);
    expect([...mean.initializers, ...random.initializers].some((i) => i.name.includes("/rho"))).toBe(false);
    const seeds = random.nodes.filter((n) => n.opType === "RandomNormalLike").map((n) => n.attrs.seed);
    expect(seeds).toHaveLength(5);
    expect(new Set(seeds).size).toBe(5);
  });

  it("keeps what was pruned at zero", async () => {
    using m = make("stride, uneven kernel and padding, flatten of a map");
    for (const layer of ["bayesConv2d_0", "bayesLinear_0"]) {
      const { shape } = m.store.slot(`${layer}/weight/mu`);
      const next = random(8);
      m.store.define(maskName(`${layer}/weight`), shape, { init: () => floats(shape, () => Number(next() < 0.3)) });
    }
    for (const mode of ["mean", "noise"] as const) await expectAgreement(m, { mode }, 5);
    const weights = readModel(exportOnnx(m, { mode: "noise" })).graph.initializers.filter((i) =>
      i.name.includes("/weight/"),
    );
    expect(weights.map((w) => w.name)).toEqual([
      "bayesConv2d_0/weight/mu",
      "bayesConv2d_0/weight/sigma2",
      "bayesLinear_0/weight/mu",
      "bayesLinear_0/weight/sigma2",
    ]);
    for (const { raw } of weights) {
      const values = new Float32Array(raw.slice().buffer);
      expect(values.filter((v) => v === 0).length / values.length).toBeGreaterThan(0.55);
    }
  });

  it("stays finite where sigma is nothing or enormous", async () => {
    using m = make("no biases");
    const noisy = images(m, 3).fill(0, 0, 25); // one image is black: no variance in its first layer
    for (const rho of [-100, 100]) {
      for (const slot of m.parameters)
        if (slot.name.endsWith("/rho"))
          m.store.set(
            slot.name,
            floats(slot.shape, () => rho),
          );
      await expectAgreement(m, { mode: "noise" }, 3, { pixels: noisy });
    }
  });

  it("takes NHWC pixels as stored, when asked", async () => {
    using m = make(name, { scale: [1 / 64, 1 / 100], shift: [-0.4, 0.3] });
    for (const layout of ["nchw", "nhwc"] as const)
      for (const mode of ["mean", "noise", "ensemble"] as const)
        await expectAgreement(m, { mode, layout, samples: 3 }, 3, { pixels: images(m, 3, 128), runs: 30 });
    const { graph } = readModel(exportOnnx(m, { layout: "nhwc" }));
    expect(graph.inputs[0].dims).toEqual(["batch", 6, 7, 2]);
  });

  it("is the same, bit for bit, each time", () => {
    using m = make(name);
    for (const mode of ["mean", "noise", "random", "ensemble"] as const)
      expect(Buffer.from(exportOnnx(m, { mode })).equals(exportOnnx(m, { mode }))).toBe(true);
    expect(Buffer.from(exportOnnx(m, { mode: "random" })).equals(exportOnnx(m, { mode: "random", seed: 1 }))).toBe(
      false,
    );
  });
});

describe("bad input", () => {
  it("names the op and the layer that has no ONNX form", () => {
    const op: Op = { name: "mystery", infer: ([x]) => [x] };
    const build = (x: Tensor) =>
      linear(
        scope("mystery", { name: "odd" }, () => apply(op, [flatten(x)], {})[0]),
        2,
      );
    using m = new Model({ name: "m", input: [2, 2, 1], likelihood: categorical(2), build });
    expect(() => exportOnnx(m)).toThrow(/\[onnx\] expected ops that have an ONNX form, received mystery \(layer odd/);
  });

  it("refuses a model that closes over its batch size", () => {
    const build = (x: Tensor) => add(linear(flatten(x), 2), constant(x.shape[0], [2]));
    using m = new Model({ name: "leaky", input: [2, 2, 1], likelihood: categorical(2), build });
    expect(() => exportOnnx(m)).toThrow(/works for any batch, received leaky/);
  });

  it("says what is wrong with an option", () => {
    using m = make("no biases");
    using plain = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, bayesian: false });
    const bad =
      (options: object, model = m) =>
      () =>
        exportOnnx(model, options as ExportOptions);
    expect(bad({ mode: "both" })).toThrow(/a mode of mean, noise, random, ensemble, received "both"/);
    expect(bad({ mode: "random" }, plain)).toThrow(/mode "mean" for a model without Bayesian layers/);
    expect(bad({ layout: "chw" })).toThrow(/layout/);
    expect(bad({ samples: 0 })).toThrow(/samples/);
    expect(bad({ seed: -1 })).toThrow(/seed/);
  });

  it("writes the whole file or none", () => {
    using m = make("no biases");
    const path = join(folder, "model.onnx");
    const bytes = exportOnnx(m, { path });
    expect(readFileSync(path).equals(bytes)).toBe(true);
    expect(() => exportOnnx(m, { path: join(folder, "none", "model.onnx") })).toThrow(/cannot write .*no such file/);
    expect(existsSync(join(folder, "none"))).toBe(false);
    expect(readdirSync(folder)).toEqual(["model.onnx"]);
  });
});

const python = ["/usr/bin/python3", "python3"].find(
  (program) => spawnSync(program, ["-c", "import onnx"], { stdio: "ignore" }).status === 0,
);
if (python === undefined) console.log("skipped: the ONNX checker (python3-onnx is not installed)");

describe.skipIf(python === undefined)("the ONNX checker", () => {
  it("accepts every net in every mode, shapes included", () => {
    const files: string[] = [];
    for (const [i, name] of Object.keys(nets).entries()) {
      using m = make(name);
      for (const mode of ["mean", "noise", "random", "ensemble"] as const) {
        files.push(join(folder, `${i}-${mode}.onnx`));
        writeFileSync(files[files.length - 1], exportOnnx(m, { mode, samples: 3 }));
      }
    }
    const script = "import onnx, sys\nfor f in sys.argv[1:]: onnx.checker.check_model(f, full_check=True)\nprint('ok')";
    const { status, stdout, stderr } = spawnSync(python as string, ["-c", script, ...files], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect([status, stdout]).toEqual([0, "ok\n"]);
  });
});
