// The kernels for CPUs that are not at hand: the op rows, the accuracy tests and the golden model run on them in a process
// of their own (test/driver), the products too where an emulator is not too slow for them. NEON is cross-compiled and runs under an emulator (apt-get install
// g++-aarch64-linux-gnu qemu-user-static); AVX-512 and its bfloat16 instruction are put together from what AVX2 has
// (test/driver/avx512.h), which leaves only the compiler's own mapping of intrinsics untested. What the CPU itself has is
// tested on it (scripts/test.mjs).
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-emulated-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

// what binding.gyp passes
const common = "-std=c++17 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -Wno-psabi -I.";
const kernels = ["ops", "elementwise-accuracy", "golden"];
const files = (names: readonly string[]) => names.map((t) => `test/cpu/${t}.test.ts`);

const found = (tool: string) => spawnSync(tool, ["--version"]).status === 0;
const cpuHas = (flag: RegExp) => {
  try {
    return flag.test(readFileSync("/proc/cpuinfo", "utf8"));
  } catch {
    return false; // not Linux
  }
};

interface Processor {
  readonly compiler: string;
  readonly flags: string;
  readonly emulator?: string;
  readonly device: string;
  readonly env?: Record<string, string>;
  /** The tests that run on it. */
  readonly tests: readonly string[];
}
const processors: Record<string, Processor> = {
  NEON: {
    compiler: "aarch64-linux-gnu-g++",
    flags: "-static -DISA=base -DISA_LEVEL=0",
    emulator: "qemu-aarch64-static",
    device: "cpu-neon",
    // central differences cost most of it; the gradients of layers are held to float64 sums by the products
    env: { BAYESCNN_BF16: "pairs", DIFFERENCES: "no" },
    // the products' vectors are as wide as the baseline's, which has them natively; NEON=all runs them too
    tests: [...kernels, ...(process.env.NEON === "all" ? ["products", "winograd"] : [])],
  },
  "AVX-512 with bfloat16": {
    compiler: "g++",
    flags: "-mavx2 -mfma -DISA=avx512 -DISA_LEVEL=2 -DCONTRACTS=1 -include test/driver/avx512.h",
    device: "cpu-avx512bf16",
    tests: [...kernels, "products", "winograd"],
  },
};

spawnSync(process.execPath, ["scripts/list-ops.mjs"], { cwd: root });
for (const [name, { compiler, flags, emulator, device, env, tests }] of Object.entries(processors)) {
  const missing = [compiler, ...(emulator ? [emulator] : [])].filter((tool) => !found(tool));
  if (compiler === "g++" && !cpuHas(/\bavx2\b/)) missing.push("AVX2");
  const itself = compiler === "g++" && cpuHas(/\bavx512_bf16\b/);
  const why = itself ? "this CPU has it itself" : missing.length ? `no ${missing.join(" and no ")}` : "";
  const reason = why && ` (skipped: ${why})`;
  if (reason) console.log(`${name}${reason}`);

  const test = reason ? it.skip : it.concurrent; // the emulators side by side, one a core
  test(`agrees with float64 references on ${name}${reason}`, { timeout: 900_000 }, async () => {
    const sources = [
      "unity/ops",
      "unity/layers",
      "cpu/pool",
      "cpu/isa",
      "cpu/device",
      "program/steps",
      "program/contract",
      "program/culprit",
    ].map((s) => `native/${s}.cpp`);
    const options = [...common.split(" "), ...flags.split(" ")];
    const objects = await Promise.all(
      [...sources, "test/driver/driver.cpp"].map(async (source, i) => {
        const object = join(tmp, `${device}-${i}.o`);
        await promisify(execFile)(compiler, [...options, "-c", source, "-o", object], { cwd: root });
        return object;
      }),
    );
    const driver = join(tmp, device);
    const link = flags.includes("-static") ? ["-static"] : [];
    await promisify(execFile)(compiler, [...link, "-pthread", ...objects, "-o", driver]);
    // status and output, whatever the status
    const run = await promisify(execFile)(
      process.execPath,
      [join(root, "node_modules/vitest/vitest.mjs"), "run", "--reporter=verbose", ...files(tests)],
      {
        cwd: root,
        maxBuffer: 2 ** 26,
        env: { ...process.env, ...env, BAYESCNN_DRIVER: emulator ? `${emulator} ${driver}` : driver },
      },
    ).then(
      ({ stdout, stderr }) => ({ status: 0, stdout, stderr }),
      (error) => ({ status: error.code, stdout: `${error.stdout}`, stderr: `${error.stderr}` }),
    );
    expect(run.status, run.stdout.slice(-4000) + run.stderr.slice(-1000)).toBe(0);
    expect(run.stdout).toContain(`bayesConv2d on ${device}`); // the rows did run, and there
    if (tests.includes("products")) expect(run.stdout).toContain(`products in bf16 on ${device}`);
  });
}
