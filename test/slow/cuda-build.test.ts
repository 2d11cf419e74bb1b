// What nvcc makes of the CUDA device, in a clean folder by the build script itself (80 seconds of processor time): it compiles
// without a warning or a spilled register, and its library says on a machine without a GPU why there is none.
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { build } from "../built.ts";
import { writeIdx } from "../cli-capture.ts";

const root = resolve(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-cuda-build-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

const run = (args: readonly string[], cwd: string, env: Record<string, string> = {}) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd,
    encoding: "utf8",
    maxBuffer: 1e9,
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
};
/** A clone of what the build needs, with these sources. */
function clone(name: string, ...sources: string[]): string {
  const folder = join(tmp, name);
  mkdirSync(folder);
  for (const path of ["package.json", "scripts/build-cuda.mjs", ...sources])
    cpSync(join(root, path), join(folder, path), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  return folder;
}
const script = (folder: string, ...args: string[]) => run(["scripts/build-cuda.mjs", ...args], folder);

const lacking = ["nvcc", "cmake"].filter((tool) => spawnSync(tool, ["--version"]).status !== 0);
const without = lacking.length ? ` (skipped: no ${lacking.join(" and no ")})` : "";
if (without) console.log(`the CUDA device by nvcc${without}`);
const gpu = ["/dev/nvidia0", "/dev/dxg"].find((path) => existsSync(path));
const withGpu = gpu ? ` (skipped: this machine has a GPU, ${gpu})` : "";
if (withGpu) console.log(`the CUDA library without a GPU${withGpu}`);

describe.skipIf(without)(`the CUDA device by nvcc${without}`, () => {
  const folder = join(tmp, "device");
  const data = join(tmp, "data");
  const prebuilt = join(folder, "prebuilds-cuda/linux-x64/libbayescnn-cuda.so");
  const train = (device: string) => {
    const out = join(tmp, `run-${device}`);
    const small = ["--data", "mnist", "--data-dir", data, "--epochs", "1", "--test-samples", "2", "--out", out];
    const command = ["dist/cli/main.js", "train", "--model", "lenet5", ...small, "--device", device];
    return run(command, root, { BAYESCNN_CUDA: prebuilt });
  };
  beforeAll(() => {
    build();
    writeIdx(join(data, "mnist"));
  });

  it("compiles for all its targets, and lies where npm pack finds it", { timeout: 1_800_000 }, () => {
    clone("device", "cuda", "native/shared");
    const { status, stdout, stderr } = script(folder, "--prebuild");
    expect(status, stderr + stdout.slice(-4000)).toBe(0);
    expect(stdout.trimEnd().split("\n").slice(-2)).toEqual([join(folder, "build-cuda/libbayescnn-cuda.so"), prebuilt]);
    // what the table of docs/cuda.md is made of
    for (const target of ["sm_80", "sm_90"])
      expect(stdout).toMatch(new RegExp(`Compiling entry function '\\w*productKernel\\w*' for '${target}'`));
  });

  it.skipIf(withGpu)(`its library says in a sentence why there is no device${withGpu}`, () => {
    expect(train("cuda")).toEqual({
      status: 1,
      stdout: "",
      stderr: expect.stringMatching(/^bayescnn: \[--device\] expected a CUDA device, received none: .*NVIDIA.*\n$/),
    });
  });

  it.skipIf(withGpu)(`"auto" says it too and trains on the CPU${withGpu}`, () => {
    const { status, stdout } = train("auto");
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^ +device +cpu-/m)]);
    const notes = stdout.split("\n").filter((line) => line.includes("it runs on the CPU"));
    expect(notes).toEqual([
      expect.stringMatching(/^note: it runs on the CPU: expected a CUDA device, received none: .*NVIDIA/),
    ]);
    expect(existsSync(join(tmp, "run-auto/checkpoint.safetensors"))).toBe(true);
  });

  // 64 numbers that are all alive at the same time, for threads that may have 32 registers
  it("a register that spills fails the build, and the same kernel without the bound does not", {
    timeout: 600_000,
  }, () => {
    const small = clone("spill", "cuda/CMakeLists.txt", "cuda/package.json");
    const kernel = (bound: string) =>
      writeFileSync(
        join(small, "cuda/spill.cu"),
        `__global__ void ${bound} spill(float* p) {
  float v[64];
#pragma unroll
  for (int i = 0; i < 64; i++) v[i] = p[threadIdx.x + i * blockDim.x];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < 64; i++) p[threadIdx.x * 64 + i] = v[i] * v[63 - i];
}
`,
      );
    kernel("");
    expect(script(small).status).toBe(0);
    kernel("__launch_bounds__(1024, 2)");
    const { status, stdout, stderr } = script(small);
    expect(status).not.toBe(0);
    expect(stdout + stderr).toMatch(/Registers are spilled to local memory in function '\w*spill/);
  });
});
