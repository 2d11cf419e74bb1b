import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { encodeSafetensors, type SafeTensor } from "../../lib/checkpoints/safetensors.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { ops } from "../../lib/graph.ts";
import {
  add,
  batchNorm2d,
  bayesLinear,
  categorical,
  concat,
  conv2d,
  convTranspose2d,
  createModel,
  dropout,
  exportOnnx,
  flatten,
  globalAvgPool2d,
  importWeights,
  linear,
  Model,
  maxPool2d,
  modelNames,
  prune,
  relu,
  saveModel,
} from "../../lib/index.ts";
import { contents, distance, golden, logits, made, torchFile, unpacked } from "../import-kit.ts";

const dir = mkdtempSync(join(tmpdir(), "import-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const at = (name: string) => join(dir, name);

const plain = (model: string, channels = 3, size = 32) =>
  createModel({ model, input: [size, size, channels], classes: 10, bayesian: false });

/** test/golden/pytorch.py's Residual. */
function residual(x: Tensor): Tensor {
  const block = (h: Tensor, width: number, stride: number, name: string): Tensor => {
    const inner = relu(
      batchNorm2d(conv2d(h, width, 3, { name: `${name}.conv1`, stride, padding: 1, bias: false }), {
        name: `${name}.bn1`,
      }),
    );
    const out = batchNorm2d(conv2d(inner, width, 3, { name: `${name}.conv2`, padding: 1, bias: false }), {
      name: `${name}.bn2`,
    });
    const around =
      stride === 1
        ? h
        : batchNorm2d(conv2d(h, width, 1, { name: `${name}.downsample.0`, stride, bias: false }), {
            name: `${name}.downsample.1`,
          });
    return relu(add(out, around));
  };
  let h = relu(batchNorm2d(conv2d(x, 8, 3, { name: "stem", padding: 1, bias: false }), { name: "stem_bn" }));
  h = block(block(h, 8, 1, "layer1.0"), 12, 2, "layer2.0");
  h = relu(convTranspose2d(h, 6, 3, { name: "up", stride: 2, padding: 1, outputPadding: 1, groups: 2 }));
  h = maxPool2d(relu(conv2d(h, 6, [3, 1], { name: "depthwise", padding: [1, 0], groups: 6 })), { kernel: 2 });
  h = relu(linear(batchNorm2d(flatten(h), { name: "flat_bn" }), 16, { name: "hidden" }));
  return linear(h, 5, { name: "head" });
}
const residualModel = () => new Model({ input: [8, 8, 3], likelihood: categorical(5), build: residual });

describe("files that PyTorch wrote", () => {
  it.each(["f32", "f16", "bf16"] as const)("a residual net with norms in %s has PyTorch's outputs", (dtype) => {
    using model = residualModel();
    const from = importWeights(model, unpacked(`torch-residual.${dtype}.safetensors.gz`, dir));
    expect(from.get("layer2.0.downsample.1/variance")).toBe("layer2.0.downsample.1.running_var");
    expect(distance(logits(model, 3), golden.residual[dtype])).toBeLessThan(1e-5);
    if (dtype !== "f32") expect(distance(logits(model, 3), golden.residual.f32)).toBeGreaterThan(1e-5);
  });

  it("an ONNX file has them, by its names or by the order of its graph", () => {
    const path = unpacked("torch-lenet5.onnx.gz", dir);
    using model = plain("lenet5", 1, 28);
    importWeights(model, path);
    expect(distance(logits(model, 3), golden.onnx)).toBeLessThan(1e-5);

    using own = new Model({
      input: [28, 28, 1],
      likelihood: categorical(10),
      build(x) {
        x = maxPool2d(relu(conv2d(x, 6, 5, { name: "z", padding: 2 })), { kernel: 2 });
        x = maxPool2d(relu(conv2d(x, 16, 5, { name: "a" })), { kernel: 2 });
        x = relu(linear(dropout(flatten(x), 0.5), 120, { name: "y" }));
        return linear(relu(linear(x, 84, { name: "b" })), 10, { name: "x" });
      },
    });
    expect(importWeights(own, path).get("y/weight")).toBe("fc1.weight");
    expect(distance(logits(own, 3), golden.onnx)).toBeLessThan(1e-5);
  });

  it.each(["torch-zip.pt", "torch-legacy.pt"])("%s is refused, with advice", (name) => {
    using model = plain("lenet5", 1, 28);
    expect(() => importWeights(model, unpacked(name, dir))).toThrow(/torch\.save.*any program.*save_model\(model/);
  });

  it.each([
    ["a pickle", 0x280],
    ["a zip file", 0x4b50],
  ])("a safetensors file whose length of header looks like the beginning of %s is none", (_, length) => {
    using model = plain("lenet5", 1, 28);
    const tensors = new Map([["stranger.weight", { dtype: "F32", shape: [1], data: Float32Array.of(1) } as const]]);
    const of = (pad: number) => encodeSafetensors(tensors, { pad: "x".repeat(pad) });
    const size = (bytes: Uint8Array) => Number(Buffer.from(bytes).readBigUInt64LE(0));
    let pad = length - size(of(0));
    while (size(of(pad)) < length) pad++;
    expect(size(of(pad))).toBe(length);
    writeFileSync(at("odd.safetensors"), of(pad));
    expect(() => importWeights(model, at("odd.safetensors"))).toThrow(/stranger\.weight/);
  });
});

describe("published architectures with PyTorch's names", () => {
  it.each(modelNames.filter((name) => name in golden.formula))("%s has PyTorch's outputs", (name) => {
    const { tensors, logits: theirs } = golden.formula[name];
    const digits = name.startsWith("lenet5");
    using model = plain(name, digits ? 1 : 3, digits ? 28 : 32);
    importWeights(model, torchFile(at("net.safetensors"), tensors));
    expect(distance(logits(model, 2), theirs)).toBeLessThan(2e-5);
  });

  it("a Bayesian net has them in its means, and keeps its spreads", () => {
    const { tensors, logits: theirs } = golden.formula.lenet5;
    using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, activation: "relu" });
    const before = contents(model);
    importWeights(model, torchFile(at("net.safetensors"), tensors));
    expect(distance(logits(model, 2), theirs)).toBeLessThan(2e-5);
    for (const [slot, values] of Object.entries(contents(model)))
      if (slot.endsWith("/rho")) expect(values).toEqual(before[slot]);
  });

  it("what a wrapper puts before every name does not matter", () => {
    const { tensors } = golden.formula.resnet20;
    using model = plain("resnet20");
    const prefixed = Object.fromEntries(Object.entries(tensors).map(([n, shape]) => [`module.net.${n}`, shape]));
    const from = importWeights(model, torchFile(at("prefixed.safetensors"), prefixed));
    expect(from.get("stage2/block1/conv1/norm/mean")).toBe("module.net.layer2.0.bn1.running_mean");
  });
});

describe("what does not fit", () => {
  const { tensors } = golden.formula.lenet5;
  const lenet5 = () => plain("lenet5", 1, 28);
  const refuse = (change: (tensors: Map<string, SafeTensor>) => unknown, options = {}): string => {
    using model = lenet5();
    const before = contents(model);
    const path = torchFile(at("bad.safetensors"), tensors, change);
    let message = "";
    expect(() => {
      try {
        importWeights(model, path, options);
      } catch (error) {
        message = (error as Error).message;
        expect((error as { code?: string }).code).toBe("ERR_BAYES_FILE");
        throw error;
      }
    }).toThrow();
    expect(contents(model)).toEqual(before);
    return message;
  };
  const f32 = (shape: number[]): SafeTensor => ({ dtype: "F32", shape, data: made("x", shape) });

  it("is all named in one error, and nothing has changed", () => {
    const message = refuse((all) => {
      all.delete("fc1.bias");
      all.delete("conv2.weight");
      all.set("fc9.weight", f32([3, 3]));
      all.set("mystery", f32([2]));
      all.set("conv1.weight", f32([6, 3, 5, 5]));
      all.set("fc3.weight", f32([100, 84]));
    });
    for (const part of [
      "without conv2/weight [5, 5, 6, 16], fc1/bias [120]; with fc9.weight [3, 3], mystery [2] left over",
      "conv1.weight [6, 3, 5, 5] where conv1/weight would be [6, 1, 5, 5]",
      "fc3.weight [100, 84] where fc3/weight would be [10, 84]",
    ])
      expect(message).toContain(part);
  });

  it("of many tensors the first three are named, of a net of ours first what differs", () => {
    const narrow = (width: number, norm?: "filter-response") =>
      createModel({ model: "mobilenet", input: [8, 8, 3], classes: 3, width, norm, bayesian: false });
    using model = narrow(0.5);
    for (const [other, expected, received] of [
      [narrow(0.3), "width 0.5", "width 0.3"],
      [narrow(0.5, "filter-response"), 'norm "batch"', 'norm "filter-response"'],
    ] as const) {
      using source = other;
      saveModel(source, at("narrow.safetensors"));
      const start = `expected the weights of mobilenet (${expected}), received a file (${received}) with`;
      let message = "";
      try {
        importWeights(model, at("narrow.safetensors"));
      } catch (error) {
        message = (error as Error).message;
      }
      expect(message).toContain(start);
      expect(message).toMatch(/ and \d+ more/);
      expect(message.length).toBeLessThan(600);
    }
  });

  it.each([Number.NaN, Infinity, -Infinity])("a value that is %d is refused", (value) => {
    expect(
      refuse((all) => {
        all.get("fc2.bias")!.data[7] = value as never;
      }),
    ).toMatch(/fc2\.bias\] expected finite values, received (NaN|-?Infinity) at 7/);
  });

  it("a double that is too large for float32 is refused, and one that is not is rounded", () => {
    const bias = (value: number) => (all: Map<string, SafeTensor>) =>
      all.set("fc3.bias", { dtype: "F64", shape: [10], data: new Float64Array(10).fill(value) });
    expect(refuse(bias(1e39))).toContain("finite values");
    using model = lenet5();
    importWeights(model, torchFile(at("good.safetensors"), tensors, bias(0.1)));
    expect(model.store.get("fc3/bias")[3]).toBe(Math.fround(0.1));
  });

  it("integers are no weights", () => {
    expect(refuse((all) => all.set("fc3.bias", { dtype: "I32", shape: [10], data: new Int32Array(10) }))).toContain(
      "weights of F32, F16, BF16 or F64",
    );
  });

  it("a negative variance is refused", () => {
    using model = plain("resnet20");
    const path = torchFile(at("bad.safetensors"), golden.formula.resnet20.tensors, (all) => {
      all.get("bn1.running_var")!.data[1] = -1e-3 as never;
    });
    expect(() => importWeights(model, path)).toThrow(/bn1\.running_var\] expected finite values of at least 0/);
  });

  it("layers whose order nothing tells are refused, with the option that helps", () => {
    const names: Record<string, string> = { fc1: "body", fc2: "neck", fc3: "out", conv1: "eye", conv2: "ear" };
    const rename = (all: Map<string, SafeTensor>) => {
      for (const [name, tensor] of [...all]) {
        all.delete(name);
        all.set(
          name.replace(/^\w+/, (layer) => names[layer]),
          tensor,
        );
      }
    };
    expect(refuse(rename)).toContain("the option map says which is which");
    using model = lenet5();
    const from = importWeights(model, at("bad.safetensors"), {
      map(name, shape) {
        expect(Array.isArray(shape)).toBe(true);
        const [layer, leaf] = name.split(".");
        return `${Object.keys(names).find((key) => names[key] === layer)}/${leaf}`;
      },
    });
    expect(from.get("fc2/weight")).toBe("neck.weight");
    expect(distance(logits(model, 2), golden.formula.lenet5.logits)).toBeLessThan(2e-5);
  });

  it("map's mistakes are named: a name that the model does not have, and one that is given twice", () => {
    const message = refuse(() => {}, { map: (name: string) => (name.startsWith("conv") ? "conv1/weight" : "nowhere") });
    expect(message).toContain("conv1.bias [6] as conv1/weight, which another one is");
    expect(message).toContain("fc1.bias [120] as nowhere, which the model does not have");
    expect(message).toContain("without conv1/bias");
  });

  it("files that are none", () => {
    using model = lenet5();
    const before = contents(model);
    const files: [string, Uint8Array][] = [
      ["empty", new Uint8Array(0)],
      ["text", Buffer.from("hello, this is some text")],
      ["json", Buffer.from(`{"a": [1, 2, 3], "b": 4}`)],
      ["long", new Uint8Array(4096).fill(0xff)],
    ];
    for (const [name, bytes] of files) {
      writeFileSync(at(name), bytes);
      expect(() => importWeights(model, at(name)), name).toThrow(/expected/);
    }
    expect(() => importWeights(model, at("nowhere"))).toThrow(/nowhere/);
    expect(() => importWeights(model, dir)).toThrow(/folder of a trained run/);
    expect(() => importWeights(model, undefined as never)).toThrow(/path/);
    expect(() => importWeights({} as never, at("text"))).toThrow(/a Model/);
    expect(contents(model)).toEqual(before);
  });
});

describe("except", () => {
  const { tensors } = golden.formula.alexnet;
  it("keeps a new classifier, whatever the file has for it", () => {
    using model = createModel({ model: "alexnet", input: [32, 32, 3], classes: 7, bayesian: false });
    const before = model.store.get("classifier/weight");
    const path = torchFile(at("alexnet.safetensors"), tensors);
    expect(() => importWeights(model, path)).toThrow(/14\.weight \[10, 128\] where classifier\/weight/);
    const from = importWeights(model, path, { except: ["classifier"] });
    expect([...from.keys()].some((name) => name.startsWith("classifier"))).toBe(false);
    expect(model.store.get("classifier/weight")).toEqual(before);
    expect(model.store.get("conv5/bias")).toEqual(made("10.bias", [128]));
    const headless = torchFile(at("headless.safetensors"), tensors, (all) => {
      all.delete("14.weight");
      all.delete("14.bias");
    });
    importWeights(model, headless, { except: ["classifier"] });
    expect(() => importWeights(model, path, { except: ["clasifier"] })).toThrow(/except among the layers conv1/);
  });
});

describe("where features lie after a flatten", () => {
  const shapes = { "c.weight": [3, 2, 1, 1], "f.weight": [4, 3 * 4 * 4] };
  const model = (between: (x: Tensor) => Tensor) =>
    new Model({
      input: [4, 4, 2],
      likelihood: categorical(4),
      build: (x) => linear(between(conv2d(x, 3, 1, { name: "c", bias: false })), 4, { name: "f", bias: false }),
    });
  /** out[k] = sum over C, H, W, in float64. */
  const reference = () => {
    const [c, f] = [made("c.weight", shapes["c.weight"]), made("f.weight", shapes["f.weight"])];
    return (x: number[][][]) =>
      Array.from({ length: 4 }, (_, k) => {
        let sum = 0;
        for (let ch = 0; ch < 3; ch++)
          for (let p = 0; p < 16; p++)
            sum += f[k * 48 + ch * 16 + p] * (c[ch * 2] * x[0][0][p] + c[ch * 2 + 1] * x[0][1][p]);
        return sum;
      });
  };
  it.each([
    ["flatten", (x: Tensor) => flatten(x)],
    ["an elementwise op behind it", (x: Tensor) => ops.scale(flatten(x), 1, 0)],
    ["a transpose to C, H, W before it", (x: Tensor) => flatten(ops.transpose(x, [0, 3, 1, 2]))],
    ["a transpose to W, C, H before it", (x: Tensor) => flatten(ops.transpose(x, [0, 2, 3, 1]))],
  ])("%s", (_, between) => {
    using own = model(between);
    importWeights(own, torchFile(at("flat.safetensors"), shapes));
    const pixels = made("images", [32]).map((v) => v / 0.2);
    const [row] = logits(own, 1);
    const planes = [[[...pixels.subarray(0, 16)], [...pixels.subarray(16)]]] as number[][][];
    const expected = reference()(planes);
    expect(distance([row], [expected])).toBeLessThan(1e-5);
  });

  it("features that were put together anew are refused", () => {
    using own = new Model({
      input: [4, 4, 2],
      likelihood: categorical(4),
      build(x) {
        const h = conv2d(x, 3, 1, { name: "c", bias: false });
        return linear(concat([flatten(h), globalAvgPool2d(h)], 1), 4, { name: "f", bias: false });
      },
    });
    const path = torchFile(at("flat.safetensors"), { "c.weight": [3, 2, 1, 1], "f.weight": [4, 51] });
    expect(() => importWeights(own, path)).toThrow(/f\/weight behind a flatten whose values are put together anew/);
  });
});

describe("files of this library", () => {
  it("another model's checkpoint gives the layers that both have; pruned weights are zero", () => {
    using trained = createModel({ model: "lenet5", input: [28, 28, 1], classes: 3, seed: 5 });
    prune(trained, { score: "magnitude", sparsity: 0.5 });
    saveModel(trained, at("ours.safetensors"));
    using model = lenet5Bayesian();
    expect(() => importWeights(model, at("ours.safetensors"))).toThrow(/fc3\/weight\/mu \[84, 3\]/);
    importWeights(model, at("ours.safetensors"), { except: ["fc3"] });
    const [mu, mask] = ["fc1/weight/mu", "mask/fc1/weight"].map((name) => trained.store.get(name));
    expect(model.store.get("fc1/weight/mu")).toEqual((mu as Float32Array).map((v, i) => (mask[i] ? v : 0)));
    using twin = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, bayesian: false });
    importWeights(twin, at("ours.safetensors"), { except: ["fc3"] });
    expect(twin.store.get("conv2/bias")).toEqual(trained.store.get("conv2/bias/mu"));
  });
  const lenet5Bayesian = () => createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });

  it("an exported ONNX file of H, W, C features comes back as it was", () => {
    using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 3, bayesian: false });
    exportOnnx(model, { mode: "mean", path: at("ours.onnx") });
    using other = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 4, bayesian: false });
    importWeights(other, at("ours.onnx"));
    expect(contents(other)).toEqual(contents(model));
  });
});

it("an imported layer of an own Bayesian net has the file's values as its means", () => {
  using model = new Model({
    input: [2, 2, 1],
    likelihood: categorical(2),
    build: (x) => bayesLinear(flatten(x), 2, { name: "head" }),
  });
  importWeights(model, torchFile(at("head.safetensors"), { "head.weight": [2, 4], "head.bias": [2] }));
  const w = made("head.weight", [2, 4]);
  expect([...model.store.get("head/weight/mu")]).toEqual([0, 1, 2, 3].flatMap((i) => [w[i], w[4 + i]]));
});
