// Every experiment, quick: the code that made docs/results.md, from the command line, on the embedded digits, and one of them killed on its way.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { experiments } from "../../lib/experiments/index.ts";
import { build } from "../built.ts";

const main = join(import.meta.dirname, "../../dist/cli/main.js");
const folder = mkdtempSync(join(tmpdir(), "bayescnn-experiments-"));
beforeAll(build, 300_000);
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const { BAYESCNN_DATA: _, ...env } = process.env; // quick runs need no data
const command = (name: string) => [main, "experiment", name, "--quick", "--json"];
const results = (name: string) => join(folder, "runs/experiments/quick-results", name);

/** Numbers in figures, however deep. */
function numbers(value: unknown): number[] {
  if (typeof value === "number") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(numbers) : [];
}

describe("quick experiments", () => {
  it("one that is killed goes on, and computes nothing twice", { timeout: 300_000 }, async () => {
    const child = spawn(process.execPath, command("classification"), {
      cwd: folder,
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    const events: string[] = [];
    child.stdout.on("data", (text: Buffer) => {
      events.push(...text.toString().split("\n").filter(Boolean));
      if (events.some((line) => JSON.parse(line).event === "done")) child.kill("SIGKILL");
    });
    await new Promise((resolve) => child.on("close", resolve));
    const before = readdirSync(results("classification"));
    expect(before.length).toBeGreaterThan(0);
    const again = spawnSync(process.execPath, command("classification"), { cwd: folder, env, encoding: "utf8" });
    expect(again.status, again.stderr).toBe(0);
    const lines = again.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const computed = lines.filter((e) => e.event === "done").map((e) => `${e.unit}.json`);
    expect(computed.filter((file) => before.includes(file))).toEqual([]);
    expect(readdirSync(results("classification")).sort()).toEqual([...before, ...computed].sort());
  });

  it.each(experiments.map((e) => [e.name, e] as const))("%s", { timeout: 300_000 }, (name, experiment) => {
    const { status, stderr } = spawnSync(process.execPath, command(name), { cwd: folder, env, encoding: "utf8" });
    expect(status, stderr).toBe(0);
    for (const { name: unit } of experiment.units({ quick: true, seed: 1 })) {
      const path = join(results(name), `${unit}.json`);
      expect(existsSync(path), path).toBe(true);
      const { figures, quick, provenance } = JSON.parse(readFileSync(path, "utf8"));
      expect(quick).toBe(true);
      expect(provenance.command).toBe(`npx bayescnn experiment ${name} --only ${unit} --quick`);
      expect(numbers(figures).length, unit).toBeGreaterThan(0);
      expect(numbers(figures).every(Number.isFinite), unit).toBe(true);
    }
  });
});
