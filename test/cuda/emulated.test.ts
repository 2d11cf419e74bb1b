// The CUDA device without a GPU: its sources compiled as C++ against the emulator (test/emulator). The op rows run on it
// by BAYESCNN_TEST_DEVICE=cuda BAYESCNN_CUDA=build-emulated/libbayescnn-cuda.so npx vitest run test/cpu/ops.test.ts.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const run = (command: string, args: readonly string[], env: Record<string, string> = {}) => {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status, text: stdout + stderr };
};
const missing =
  process.platform !== "linux" || process.arch !== "x64"
    ? "not Linux on x86-64"
    : spawnSync("g++", ["--version"]).status !== 0
      ? "no g++"
      : undefined;
if (missing) console.log(`the CUDA device on the emulator (skipped: ${missing})`);

const library = "build-emulated/libbayescnn-cuda.so";
const flags = ["-std=c++17", "-O1", "-I.", "-Wno-tsan", "-Wno-unknown-pragmas"];
const orders = ["forward", "reverse", "random:7"];

describe.skipIf(missing)(`the CUDA device on the emulator${missing ? ` (skipped: ${missing})` : ""}`, () => {
  it("compiles as C++", { timeout: 600_000 }, () => {
    expect(run(process.execPath, ["scripts/build-emulated.mjs"])).toEqual({ status: 0, text: "" });
  });

  it("keeps what the C table promises: chunks of steps, faults, machines without a GPU", { timeout: 300_000 }, () => {
    const program = "build-emulated/device";
    expect(run("g++", [...flags, "test/cuda/device.cpp", "-o", program, "-ldl"])).toEqual({ status: 0, text: "" });
    for (const order of orders)
      expect(run(program, [library], { BAYESCNN_EMULATED_ORDER: order }), order).toEqual({
        status: 0,
        text: "0 failed\n",
      });
  });

  it("the emulator finds what it has to, and lets right kernels pass", { timeout: 300_000 }, () => {
    const program = "build-emulated/emulator";
    const watched = [...flags, "-DEMULATED", "-fsanitize=thread", "-x", "c++", "-c", "test/cuda/emulator.cpp"];
    expect(run("g++", [...watched, "-o", `${program}.o`])).toEqual({ status: 0, text: "" });
    const parts = ["emu", "memory", "runtime"].map((f) => `build-emulated/${f}.cpp.o`);
    expect(run("g++", [`${program}.o`, ...parts, "-o", program])).toEqual({ status: 0, text: "" });
    for (const order of [...orders, "turns"])
      expect(run(program, [], { BAYESCNN_EMULATED_ORDER: order }), order).toEqual({ status: 0, text: "0 failed\n" });
  });
});
