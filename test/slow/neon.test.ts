// The kernels for ARM: cross-compiled, and the op rows, the accuracy tests and the golden model run on them under an
// emulator (apt-get install g++-aarch64-linux-gnu qemu-user-static).
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const compiler = "aarch64-linux-gnu-g++";
const emulator = "qemu-aarch64-static";
const missing = [compiler, emulator].filter((tool) => spawnSync(tool, ["--version"]).status !== 0);
const reason = missing.length ? ` (skipped: no ${missing.join(" and no ")})` : "";
if (reason) console.log(`NEON${reason}`);

const tmp = mkdtempSync(join(tmpdir(), "bayescnn-neon-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

// what binding.gyp passes
const flags = "-std=c++17 -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math -Wno-psabi -DISA=base -DISA_LEVEL=0";

it.skipIf(reason !== "")(`agrees with the float64 references on NEON${reason}`, { timeout: 900_000 }, async () => {
  spawnSync(process.execPath, ["scripts/list-ops.mjs"], { cwd: root });
  const sources = ["unity/ops", "unity/layers", "core/pool", "core/isa", "core/cpu"].map((s) => `native/${s}.cpp`);
  const objects = await Promise.all(
    [...sources, "test/driver/driver.cpp"].map(async (source, i) => {
      const object = join(tmp, `${i}.o`);
      await promisify(execFile)(compiler, [...flags.split(" "), "-I.", "-c", source, "-o", object], { cwd: root });
      return object;
    }),
  );
  const driver = join(tmp, "driver");
  await promisify(execFile)(compiler, ["-static", "-pthread", ...objects, "-o", driver]);
  const tests = ["ops", "products", "elementwise-accuracy", "golden"].map((t) => `test/cpu/${t}.test.ts`);
  const run = spawnSync(
    process.execPath,
    [join(root, "node_modules/vitest/vitest.mjs"), "run", "--reporter=verbose", ...tests],
    {
      cwd: root,
      encoding: "utf8",
      env: { ...process.env, BAYESCNN_BF16: "pairs", BAYESCNN_DRIVER: `${emulator} ${driver}` },
    },
  );
  expect(run.status, run.stdout.slice(-4000) + run.stderr.slice(-1000)).toBe(0);
  expect(run.stdout).toContain("bayesConv2d on cpu-neon"); // the rows did run, and there
});
