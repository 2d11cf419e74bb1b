// Whole models, exported and run in ONNX Runtime beside the native run: equal numbers for mean weights and given noise,
// equal distributions for the modes that draw their own.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it, vi } from "vitest";
import { alphaPosterior, rhoPosterior } from "../../lib/bayes/posterior.ts";
import type { BayesOptions } from "../../lib/bayes/settings.ts";
import { BayesError } from "../../lib/errors.ts";
import { apply, constant, type Op, type Tensor } from "../../lib/graph/node.ts";
import { scope } from "../../lib/graph/trace.ts";
import { bayesConv2d, conv2d } from "../../lib/layers/conv.ts";
import { dropout } from "../../lib/layers/dropout.ts";
import { bayesLinear, linear } from "../../lib/layers/linear.ts";
import { batchNorm2d } from "../../lib/layers/norm.ts";
import { maskName } from "../../lib/layers/weights.ts";
import { createModel } from "../../lib/models/create.ts";
import { Model } from "../../lib/models/model.ts";
import { type ExportOptions, exportOnnx } from "../../lib/onnx/export.ts";
import { readMetadata } from "../../lib/onnx/metadata.ts";
import { OnnxGraph } from "../../lib/onnx/model.ts";
import { verifyOnnx } from "../../lib/onnx/verify.ts";
import { add } from "../../lib/ops/add.ts";
import { avgPool2d } from "../../lib/ops/avgPool2d.ts";
import { concat } from "../../lib/ops/concat.ts";
import { flatten } from "../../lib/ops/flatten.ts";
import { globalAvgPool2d } from "../../lib/ops/globalAvgPool2d.ts";
import { leakyRelu } from "../../lib/ops/leakyRelu.ts";
import { maxPool2d } from "../../lib/ops/maxPool2d.ts";
import { pixelShuffle } from "../../lib/ops/pixelShuffle.ts";
import { relu } from "../../lib/ops/relu.ts";
import { resizeBicubic } from "../../lib/ops/resizeBicubic.ts";
import { slice } from "../../lib/ops/slice.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { readModel } from "../onnx-read.ts";
import { random } from "../ops/harness.ts";

const folder = mkdtempSync(join(tmpdir(), "bayescnn-export-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const wide = rhoPosterior({ rhoInit: -1.5 }); // enough noise for its absence to be seen
type Input = [number, number, number];

/** Ten small nets that together use every layer and every option that changes the graph. */
const nets: Record<string, { input: Input; classes?: number; build: (x: Tensor) => Tensor; bayes?: BayesOptions }> = {
  "stride, uneven kernel and padding, flatten of a map": {
    input: [9, 8, 3],
    classes: 4,
    build: (x) => {
      const h = softplus(bayesConv2d(x, 6, [3, 2], { stride: [2, 1], padding: [1, 0, 2, 1] }));
      return bayesLinear(flatten(h), 4);
    },
  },
  "groups, dilation, pools": {
    input: [12, 11, 4],
    build: (x) => {
      let h = relu(bayesConv2d(x, 6, 3, { groups: 2, padding: 1 }));
      h = maxPool2d(h, { kernel: 3, stride: 2, padding: 1 });
      h = leakyRelu(bayesConv2d(h, 4, 2, { dilation: 2, padding: 1 }), 0.1);
      h = avgPool2d(h, { kernel: 2, stride: 1, padding: 1, countIncludePad: false });
      return bayesLinear(flatten(avgPool2d(h, { kernel: [3, 2] })), 3);
    },
  },
  "batch norm, dropout, plain layers among Bayesian ones": {
    input: [6, 6, 2],
    build: (x) => {
      let h = relu(batchNorm2d(conv2d(x, 5, 3, { bias: false })));
      h = dropout(batchNorm2d(bayesConv2d(h, 4, 2)), 0.5);
      return linear(relu(batchNorm2d(bayesLinear(flatten(h), 7))), 3);
    },
  },
  "branches: concat, sum, slice, pixel shuffle, resize": {
    input: [6, 7, 2],
    build: (x) => {
      const a = bayesConv2d(x, 4, 1);
      const b = bayesConv2d(x, 4, 3, { padding: 1 });
      const h = pixelShuffle(relu(concat([a, add(a, b)], 3)), 2);
      const cut = slice(h, [0, 1, 0, 0], [h.shape[0], h.shape[1] - 1, h.shape[2], h.shape[3]]);
      return bayesLinear(globalAvgPool2d(resizeBicubic(cut, { height: 5, width: 9 })), 3);
    },
  },
  "one layer used twice": {
    input: [5, 5, 3],
    classes: 2,
    build: (x) => {
      const twice = (h: Tensor) => softplus(bayesConv2d(h, 3, 3, { padding: 1, name: "shared" }));
      return bayesLinear(flatten(twice(twice(x))), 2);
    },
  },
  "point biases": { input: [5, 5, 1], build: small, bayes: { bias: "point" } },
  "no biases": { input: [5, 5, 1], build: small, bayes: { bias: "none" } },
  "alpha per weight": { input: [5, 5, 2], build: small, bayes: { posterior: alphaPosterior({ logAlphaInit: -1 }) } },
  "alpha per layer": {
    input: [5, 5, 2],
    build: small,
    bayes: { posterior: alphaPosterior({ per: "layer", logAlphaInit: -1 }) },
  },
  "noise of the weights": { input: [5, 5, 2], build: small, bayes: { estimator: "weight" } },
  "noise of the weights, groups": {
    input: [5, 6, 2],
    build: (x) => bayesLinear(flatten(relu(bayesConv2d(x, 4, [2, 3], { groups: 2, stride: 2, padding: 1 }))), 3),
    bayes: { estimator: "weight", bias: "point" },
  },
};

function small(x: Tensor): Tensor {
  return bayesLinear(softplus(bayesLinear(flatten(softplus(bayesConv2d(x, 3, 3))), 5)), 3);
}

function make(name: string): Model {
  const { input, classes = 3, build, bayes } = nets[name];
  const model = new Model({
    name,
    input,
    classes,
    build,
    seed: 3,
    bayes: { posterior: wide, ...bayes },
  });
  const next = random(5);
  for (const slot of model.store.slots.values()) {
    // statistics and biases as a trained model has them
    if (/\/(mean|beta|bias)$/.test(slot.name))
      model.store.set(
        slot.name,
        floats(slot.shape, () => next() - 0.5),
      );
    if (slot.name.endsWith("/logAlpha"))
      model.store.set(
        slot.name,
        floats(slot.shape, () => next() - 1.5),
      );
    if (/\/(variance|gamma)$/.test(slot.name))
      model.store.set(
        slot.name,
        floats(slot.shape, () => next() + 0.5),
      );
  }
  return model;
}

const floats = (shape: readonly number[], f: () => number) =>
  Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, f);
const images = (m: Model, batch: number, scale = 1) => {
  const next = random(batch);
  return floats([batch, ...m.inputShape], () => (next() * 2 - 1) * scale);
};

async function expectAgreement(
  m: Model,
  options: ExportOptions,
  batch: number,
  { pixels = images(m, batch), runs }: { pixels?: Float32Array; runs?: number } = {},
) {
  const v = await verifyOnnx(m, exportOnnx(m, options), pixels, {
    seed: 11,
    runs: runs ?? (options.mode === "random" ? 250 : 40),
  });
  expect(v.mode).toBe(options.mode);
  expect(v.maxDifference, `${v.compared} numbers, batch ${batch}, ${options.mode}`).toBeLessThanOrEqual(v.tolerance);
  expect(v.agrees).toBe(true);
  expect(v.compared).toBeGreaterThanOrEqual(batch * m.classes);
  return v;
}

describe.each(Object.keys(nets))("%s", (name) => {
  it("mean weights: the native numbers", async () => {
    using m = make(name);
    for (const batch of [1, 5]) await expectAgreement(m, { mode: "mean" }, batch);
  });
  it("given noise: the native numbers", async () => {
    using m = make(name);
    for (const batch of [1, 5]) await expectAgreement(m, { mode: "noise" }, batch);
  });
  it("random: the native distribution", async () => {
    using m = make(name);
    await expectAgreement(m, { mode: "random", seed: 5 }, 2);
  });
  it("ensemble: the native probabilities and uncertainties", async () => {
    using m = make(name);
    await expectAgreement(m, { mode: "ensemble", samples: 6, seed: 6 }, 2);
  });
});

describe("LeNet-5", () => {
  const twins = {
    rho: { posterior: { kind: "rho", rhoInit: -2.5 } },
    alpha: { posterior: { kind: "alpha", per: "weight", logAlphaInit: -2 } },
    "weight noise": { estimator: "weight" },
    frequentist: { bayesian: false },
  } as const;
  for (const [name, options] of Object.entries(twins)) {
    it(`${name}: agrees in every mode it has`, async () => {
      using m = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 1, ...options });
      for (const batch of [1, 5]) await expectAgreement(m, { mode: "mean" }, batch);
      if (!m.bayesian) return;
      for (const batch of [1, 5]) await expectAgreement(m, { mode: "noise" }, batch);
      await expectAgreement(m, { mode: "random" }, 1, { runs: 120 });
    });
  }
});

describe("what the file says", () => {
  const name = "branches: concat, sum, slice, pixel shuffle, resize";

  it("has a symbolic batch, named inputs and outputs, and metadata", () => {
    using m = make(name);
    const bytes = exportOnnx(m, { mode: "noise", softmax: true, classNames: ["a", "b", "c"] });
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
    expect(JSON.parse(metadata["bayescnn.classes"])).toEqual(["a", "b", "c"]);
    expect(JSON.parse(metadata["bayescnn.config"])).toMatchObject({ classes: 3, input: [6, 7, 2] });
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
    using m = make(name);
    const normalise = { scale: [1 / 64, 1 / 100], shift: [-0.4, 0.3] };
    for (const layout of ["nchw", "nhwc"] as const)
      for (const mode of ["mean", "noise", "ensemble"] as const)
        await expectAgreement(m, { mode, layout, normalise, samples: 3 }, 3, { pixels: images(m, 3, 128), runs: 30 });
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

describe("bad input", () => {
  it("names the op and the layer that has no ONNX form", () => {
    const op: Op = { name: "mystery", infer: ([x]) => [x] };
    const build = (x: Tensor) =>
      linear(
        scope("mystery", "odd", () => apply(op, [flatten(x)], {})[0]),
        2,
      );
    using m = new Model({ name: "m", input: [2, 2, 1], classes: 2, build });
    expect(() => exportOnnx(m)).toThrow(/\[onnx\] expected ops that have an ONNX form, received mystery \(layer odd/);
  });

  it("refuses a model that closes over its batch size", () => {
    const build = (x: Tensor) => add(linear(flatten(x), 2), constant(x.shape[0], [2]));
    using m = new Model({ name: "leaky", input: [2, 2, 1], classes: 2, build });
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
    expect(bad({ normalise: { scale: [1, 1], shift: [0] } })).toThrow(/scale as 1 numbers/);
    expect(bad({ normalise: { scale: [Number.NaN], shift: [0] } })).toThrow(/scale/);
    expect(bad({ classNames: ["a"] })).toThrow(/3 class names/);
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
