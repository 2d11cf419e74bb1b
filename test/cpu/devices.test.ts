// Devices by name, and a second one that really runs: the CPU's kernels in a library of their own, opened as a CUDA device
// (test/second). What can be wrong with such a library is one sentence each.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { loadCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { saveModel } from "../../lib/checkpoints/open.ts";
import { subset } from "../../lib/data/dataset.ts";
import { embeddedMnist } from "../../lib/data/locate.ts";
import { compile } from "../../lib/graph/compile.ts";
import { Store } from "../../lib/graph/store.ts";
import { parameter } from "../../lib/graph/trace.ts";
import { createModel } from "../../lib/models/create.ts";
import { type Device, type DeviceName, insteadOfGpu, openDevice, setDevice } from "../../lib/native/device.ts";
import * as ops from "../../lib/ops/index.ts";
import { predict } from "../../lib/predict/predict.ts";
import { fit } from "../../lib/train/fit.ts";
import { cli } from "../cli-capture.ts";
import { uniform } from "../ops/harness.ts";
import { buildSecond, cannotBuild } from "../second/build.ts";

const tmp = mkdtempSync(join(tmpdir(), "bayescnn-devices-"));
const none = cannotBuild();
const root = join(import.meta.dirname, "../..");
const before = setDevice("auto");
afterAll(() => {
  setDevice(before);
  rmSync(tmp, { recursive: true });
});
afterEach(() => vi.unstubAllEnvs());
const use = (path: string) => vi.stubEnv("BAYESCNN_CUDA", path);
const missing = (name: DeviceName) => {
  try {
    openDevice(name);
  } catch (error) {
    expect(error).toMatchObject({ name: "BayesError", code: "ERR_BAYES_MISSING" });
    return (error as Error).message;
  }
  throw new Error(`${name} was opened`);
};

describe("a name", () => {
  it.each([
    "gpu",
    "CUDA",
    "cuda:x",
    "cuda:-1",
    "cuda:",
    "cuda:01",
    "cuda:1.5",
    " cuda",
    "",
    null,
    0,
    {},
    { addon: {} },
  ])("that is none, %j, is an argument that is wrong", (name) => {
    for (const open of [openDevice, (device: never) => new Store(device)])
      expect(() => open(name as never)).toThrow(/expected device "auto", "cpu", "cuda" or "cuda:<number>"/);
    expect(() => openDevice(name as never)).toThrow(expect.objectContaining({ code: "ERR_BAYES_ARGUMENT" }));
  });
  it("is taken as an option that is wrong by the command line", async () => {
    const { code, stderr } = await cli("info", "--device", "cuda:x");
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining("'--device <name>' argument 'cuda:x' is invalid. Expected"),
    ]);
  });
  it("of an open device is the device", () => {
    const device = openDevice("cpu");
    expect(openDevice(device)).toBe(device);
    expect(device).toMatchObject({ kind: "cpu", precisions: ["fp32", "bf16"], launchRows: 512, alignment: 64 });
  });
});

describe("a library that is no use", () => {
  it("is not there, though the environment names it", () => {
    use(join(tmp, "nowhere.so"));
    expect(missing("cuda")).toBe(
      `[openDevice] expected the CUDA library that BAYESCNN_CUDA names, received no file "${tmp}/nowhere.so"`,
    );
    expect(openDevice("auto").kind).toBe("cpu");
    expect(insteadOfGpu()).toContain("received no file");
  });
  it("is damaged", () => {
    writeFileSync(join(tmp, "damaged.so"), "not a library");
    use(join(tmp, "damaged.so"));
    expect(missing("cuda")).toMatch(/damaged\.so, received one that does not load \(.*\); npm run build:cuda/);
  });
  it.skipIf(none !== "")(`is cut off anywhere, which would end the process ${none}`, () => {
    const whole = readFileSync(buildSecond(join(tmp, "whole.so"), "NOTHING"));
    const sections = Number(whole.readBigUInt64LE(0x28)); // the table is the last that there is
    for (const [i, length] of [sections >> 1, sections + 1, whole.length - 1].entries()) {
      writeFileSync(join(tmp, `cut-${i}.so`), whole.subarray(0, length));
      use(join(tmp, `cut-${i}.so`));
      expect(missing("cuda")).toContain("received one whose end is missing");
    }
  });
  it("is a folder", () => {
    use(tmp);
    expect(missing("cuda")).toMatch(/received one that does not load/);
  });

  describe.skipIf(none !== "")(`is a library ${none}`, () => {
    it("of something else", () => {
      use(buildSecond(join(tmp, "nothing.so"), "NOTHING"));
      expect(missing("cuda")).toMatch(/nothing\.so, received one that exports no bayescnnBackend; npm run build:cuda/);
    });
    it("of another version", () => {
      use(buildSecond(join(tmp, "old.so"), "ABI=1"));
      expect(missing("cuda")).toContain("received one built for ABI 1, where this bayescnn has 3");
    });
    it("without a device, which auto says once and goes on", async () => {
      const reason = "no NVIDIA driver on this machine (libcuda.so.1 is not there)";
      use(buildSecond(join(tmp, "reason.so"), `REASON="${reason}"`));
      expect(missing("cuda")).toBe(`[openDevice] expected a CUDA device, received none: ${reason}`);
      const refused = await cli("bench", "step", "--device", "cuda");
      expect([refused.code, refused.stderr]).toEqual([
        1,
        `bayescnn: [--device] expected a CUDA device, received none: ${reason}\n`,
      ]);
      const { code, stdout } = await cli("info", "--model", "lenet5", "--batch", "2");
      expect([code, stdout]).toEqual([
        0,
        expect.stringContaining(`note: it runs on the CPU: expected a CUDA device, received none: ${reason}\n`),
      ]);
      const [info] = (await cli("info", "--json")).events;
      expect(info).toMatchObject({ devices: [openDevice("cpu").name], noCuda: expect.stringContaining(reason) });
    });
  });

  it("or is not there at all: auto takes the CPU and says nothing", async () => {
    vi.stubEnv("BAYESCNN_CUDA", "");
    if (insteadOfGpu() !== undefined || openDevice("auto").kind !== "cpu") return; // this clone has one
    expect(missing("cuda")).toMatch(/^\[openDevice\] expected a CUDA library, received none: (run|there is one)/);
    const { stdout } = await cli("info", "--model", "lenet5", "--batch", "2");
    expect(stdout).not.toContain("note:");
  });
});

describe.skipIf(none !== "")(`a second device ${none}`, () => {
  const path = join(tmp, "second.so");
  beforeAll(() => void buildSecond(path));

  /** A convolution with what follows it, its loss, and gradients, on that device. */
  function run(device: Device | DeviceName) {
    using store = new Store(device);
    const inputs = { x: uniform([3, 8, 8, 2], 1), w: uniform([3, 3, 2, 4], 2) };
    const specs = { x: inputs.x.shape, w: inputs.w.shape };
    using program = compile({ store }, specs, ({ x, w }) => {
      const y = ops.maxPool2d(ops.relu(ops.conv2d(x, w, undefined, { padding: 1 })), { kernel: 2 });
      const [dx, dw] = grad(ops.sum(ops.square(y)), [x, w]);
      return { y, dx, dw };
    });
    const [x, w] = [Float32Array.from(inputs.x.data), Float32Array.from(inputs.w.data)];
    return {
      name: store.device.name,
      steps: program.report().steps.map((s) => s.op),
      results: program.run({ x, w }),
      planned: program.planned,
    };
  }

  it("is the best there is, has its own name, and its word about what is joined and where tensors lie", () => {
    use(path);
    const [second, first] = [run("auto"), run("cpu")];
    expect(second.name).toBe("cuda:0 (second)");
    expect(first.steps).not.toContain("relu");
    expect(second.steps).toEqual(expect.arrayContaining(["relu", "maxPool2d", "conv2d"]));
    for (const { offset } of second.planned.claims) expect(offset % 256).toBe(0);
    for (const [name, values] of Object.entries(second.results))
      for (const [i, v] of first.results[name as "y"].entries())
        expect(Math.abs(values[i] - v)).toBeLessThan(1e-4 * (1 + Math.abs(v)));
  });

  it("has numbers: which there are, and why one cannot be used", () => {
    use(path);
    expect(openDevice("cuda").name).toBe(openDevice("cuda:0").name);
    expect(missing("cuda:1")).toBe("[openDevice] expected a CUDA device, received none: it is on fire");
    expect(missing("cuda:2")).toBe("[openDevice] expected cuda:0 to cuda:1, the CUDA devices here, received cuda:2");
  });

  it("has precisions of its own, which the CPU refuses, and the other way round", () => {
    use(path);
    const net = (device: DeviceName, precision: "tf32" | "bf16") => {
      using store = new Store(device);
      using p = compile({ store, precision }, { x: [2, 3], w: [3, 4] }, ({ x, w }) => ({ y: ops.linear(x, w) }));
      return p.planned.native.steps.map((s) => s.attrs.precision?.[0]);
    };
    expect([net("cuda", "tf32"), net("cpu", "bf16")]).toEqual([[1], [2]]);
    expect(() => net("cpu", "tf32")).toThrow(
      /^\[compile\] expected precision "fp32" or "bf16" on cpu-\w+, received "tf32"$/,
    );
    expect(() => net("cuda", "bf16")).toThrow(
      /expected precision "fp32" or "tf32" on cuda:0 \(second\), received "bf16"/,
    );
  });

  it("is held to contracts and precisions by the addon, whoever asks", () => {
    use(path);
    const { addon, of } = openDevice("cuda");
    const store = new addon.Store(of!.library, of!.index);
    const ref = (index: number, shape: number[]) => ({ dtype: 0, space: 2, index, offset: 0, shape });
    const plan = (precision: number, rows: number) =>
      new addon.Plan(store, {
        steps: [{ op: "linear", inputs: [ref(0, [2, 3]), ref(1, [rows, 4])], outputs: [{ ...ref(0, [2, 4]), space: 3 }], attrs: { bias: [0], precision: [precision] }, commits: false }],
        feedBytes: [24, 48],
        resultBytes: [32],
        arenaBytes: 0,
      }); // biome-ignore format: short
    expect(() => plan(1, 3)).not.toThrow();
    expect(() => plan(2, 3)).toThrow("[linear] expected arithmetic that the device has, received bf16 (step 0)");
    expect(() => plan(0, 2)).toThrow("[linear] expected w as f32[3, K], received f32[2, 4] (step 0)");
    for (const wrong of [{}, "cuda", addon, store]) expect(() => new addon.Store(wrong as never)).toThrow("a Library");
    expect(() => new addon.Store(of!.library, 1)).toThrow("it is on fire");
    expect(() => new addon.Store(of!.library, 0.5)).toThrow("whole number");
    store.close();
  });

  it("names the op that made a NaN", () => {
    use(path);
    using store = new Store("cuda");
    using program = compile({ store }, { x: [3, 4] }, ({ x }) => {
      const y = ops.log(
        ops.add(
          x,
          parameter("shift", [4], () => new Float32Array(4)),
        ),
      );
      const z = ops.square(y);
      ops.checkFinite([z]);
      return { z };
    });
    expect(program.run({ x: new Float32Array(12).fill(1) }).z[0]).toBe(0);
    expect(() => program.run({ x: new Float32Array(12).fill(-1) })).toThrow(/NaN or infinity.*made by log/);
  });

  it("trains, predicts in launches of its own size, and is what its checkpoints say", async () => {
    use(path);
    using model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10, seed: 1 });
    const train = subset(embeddedMnist().train, [...Array(20).keys()]);
    const { history } = await fit(model, { train }, { epochs: 1, batchSize: 10 });
    expect(history[0].nll).toBeGreaterThan(0);
    const { probabilities } = await predict(model, train, { samples: 8 });
    expect(probabilities.every((p) => p >= 0 && p <= 1)).toBe(true);
    const file = join(tmp, "model.safetensors");
    saveModel(model, file);
    expect(loadCheckpoint(file).device).toBe("cuda:0 (second)");
  });

  it("is listed with the others, and takes a command's work", async () => {
    use(path);
    const [info] = (await cli("info", "--json")).events;
    expect(info).toMatchObject({ devices: [openDevice("cpu").name, "cuda:0 (second)"], noCuda: null });
    const words = async (device: string) =>
      (await cli("bench", "predict", "--batch", "4", "--samples", "2", "--device", device)).stdout;
    expect(await words("cuda")).toContain("on cuda:0 (second)");
    expect(await words("cpu")).toContain("on cpu-");
    expect(openDevice("auto").kind).toBe("cuda"); // --device is a command's, not the process's
  });

  it("runs the op rows", () => {
    const args = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--reporter=verbose", "test/cpu/ops.test.ts"];
    const env = { ...process.env, BAYESCNN_TEST_DEVICE: "cuda", BAYESCNN_CUDA: path, OPS: "relu,maxPool2d" };
    const { status, stdout } = spawnSync(process.execPath, args, { cwd: root, env, encoding: "utf8" });
    expect([status, stdout]).toEqual([0, expect.stringContaining("relu on cuda:0 (second)")]);
  });
});
