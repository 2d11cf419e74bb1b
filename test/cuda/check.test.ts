// The check for a machine with a GPU (cuda/check), as far as it goes without one: the pack that travels is recorded and
// replayed on the emulated device, by the tool that replays it there; a pack with one wrong answer fails. PACKS=<folder>
// keeps the packs (npm run cuda:pack).
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { compile } from "../../lib/graph/compile.ts";
import { Store } from "../../lib/graph/store.ts";
import { cpu } from "../../lib/native/device.ts";
import { relu } from "../../lib/ops/relu.ts";
import { record } from "../driver/recorder.ts";
import { recordChecks, recordTimings } from "./pack-kit.ts";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-pack-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));
const packs = process.env.PACKS;

const run = (command: string, args: readonly string[], env: Record<string, string> = {}) => {
  const { status, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  return { status, text: stdout + stderr };
};
const missing = process.platform !== "linux" || process.arch !== "x64" ? "not Linux on x86-64" : spawnSync("g++", ["--version"]).status !== 0 ? "no g++" : undefined; // biome-ignore format: short
if (missing) console.log(`the check of the CUDA device (skipped: ${missing})`);

describe.skipIf(missing)(`the check of the CUDA device${missing ? ` (skipped: ${missing})` : ""}`, () => {
  const library = "build-emulated/libbayescnn-cuda.so";
  const checks = join(tmp, "checks.pack");
  const replay = (pack: string, ...more: string[]) => run(join(tmp, "replay"), [library, pack, ...more]);

  it("is recorded: the op rows, products, trainings and faults, in less than 10 MB", {
    timeout: 600_000,
  }, async () => {
    const { rows, leftOut } = await recordChecks(checks, cpu());
    expect(rows).toBeGreaterThan(1200);
    expect(leftOut).toBeLessThan(rows / 5);
    const packed: (readonly [name: string, path: string])[] = [["checks", checks]];
    for (const [name, quick] of [["timings-dry", true], ["timings", false]] as const) {
      if (!packs && !quick) continue; // large
      packed.push([name, join(tmp, name)]);
      expect(await recordTimings(packed.at(-1)![1], cpu(), quick)).toEqual({ rows: 18, leftOut: 0 });
    } // biome-ignore format: short
    if (packs) mkdirSync(packs, { recursive: true });
    for (const [name, path] of packed) {
      const bytes = gzipSync(readFileSync(path), { level: 9 });
      expect(bytes.length, name).toBeLessThan(10e6);
      if (packs) writeFileSync(join(packs, `${name}.pack.gz`), bytes);
    }
  });

  it.skipIf(packs)("is replayed on the emulated device (skipped: packs are written)", { timeout: 900_000 }, () => {
    expect(run(process.execPath, ["scripts/build-emulated.mjs"])).toEqual({ status: 0, text: "" });
    const sources = ["cuda/check/replay.cpp", "native/program/culprit.cpp"];
    const flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-I."];
    expect(run("g++", [...flags, ...sources, "-o", join(tmp, "replay"), "-ldl"])).toEqual({ status: 0, text: "" });
    const parts = [["noise"], ["train"], ["fault"], ["product"], ["product:", "tf32"], ["train:", "tf32"], ["softmax"]];
    for (const [only, arithmetic] of parts) {
      const { status, text } = replay(checks, "--only", only, ...(arithmetic ? ["--arithmetic", arithmetic] : []));
      expect(text, `${only} ${arithmetic}`).toMatch(/^cuda:0 \(host emulator, sm_90\)\n[1-9]\d* passed, 0 failed/);
      expect(status).toBe(0);
    }
  });

  it.skipIf(packs)("finds an answer that is wrong, and a pack that is cut", { timeout: 60_000 }, () => {
    const wrong = join(tmp, "wrong.pack");
    const pack = record(wrong, cpu().addon);
    for (const [name, last] of [["right", 2], ["wrong", 2.001]] as const) {
      pack.row(name, { tolerance: 1e-4, want: [[0, last]] });
      using store = new Store({ ...cpu(), addon: pack.addon });
      using program = compile({ store }, { x: [2] }, ({ x }) => ({ y: relu(x) }));
      program.run({ x: Float32Array.of(-1, 2) });
    } // biome-ignore format: short
    expect(pack.close()).toEqual({ rows: 2, leftOut: 0 });
    const { status, text } = replay(wrong);
    expect(text).toContain("wrong: result 0: at 1, 2 instead of 2.001\n1 passed, 1 failed");
    expect(status).toBe(1);
    const bytes = readFileSync(wrong);
    writeFileSync(wrong, bytes.subarray(0, bytes.length - 40));
    expect(replay(wrong)).toEqual({ status: 2, text: expect.stringMatching(/the pack is damaged: it ends early/) });
  });

  it.skipIf(packs)("goes on where it was stopped, and says what is no library of a device", { timeout: 60_000 }, () => {
    const out = join(tmp, "rows.jsonl");
    replay(checks, "--only", "noise: of", "--out", out);
    expect(replay(checks, "--only", "noise", "--out", out).text).toMatch(/4 passed, 0 failed, \d+ left out/);
    expect(readFileSync(out, "utf8").trim().split("\n")).toHaveLength(7);
    copyFileSync(checks, join(tmp, "library.so"));
    const { status, text } = run(join(tmp, "replay"), [join(tmp, "library.so"), checks]);
    expect([status, text]).toEqual([2, expect.stringMatching(/^replay: cannot open the library: /)]);
    expect(existsSync(out)).toBe(true);
  });
});
