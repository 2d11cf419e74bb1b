// What the fast tests see of it in this process, as a process of its own: signals, readers that go away, disks that are full.
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { existsSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { loadCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { build } from "../built.ts";
import { cli, temporaryFolder, writeIdx } from "../cli-capture.ts";

const main = join(import.meta.dirname, "../../dist/cli/main.js");
const tmp = temporaryFolder();
const data = join(tmp, "data");
const ready = join(tmp, "run");
const trainArgs = (out: string, epochs: number, ...more: string[]) => [
  ...["train", "--data", "mnist", "--data-dir", data, "--epochs", String(epochs), "--batch", "50"],
  ...["--test-samples", "2", "--threads", "1", "--out", out, ...more],
];

beforeAll(async () => {
  writeIdx(join(data, "mnist"));
  build();
  expect((await cli(...trainArgs(ready, 1))).code).toBe(0);
});

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the built program; `seen` may do something to it as soon as `sign` has been printed. */
function started(
  args: readonly string[],
  { sign, seen, stdio = "pipe", shell }: { sign?: string; seen?: (child: ChildProcess) => unknown; stdio?: StdioOptions; shell?: string } = {},
): Promise<Ended> {
  const child =
    shell === undefined
      ? spawn(process.execPath, [main, ...args], { stdio })
      : spawn("sh", ["-c", shell, process.execPath, main, ...args], { stdio });
  const said = { stdout: "", stderr: "" };
  let done = false;
  for (const name of ["stdout", "stderr"] as const)
    child[name]?.on("data", (chunk) => {
      said[name] += chunk;
      if (done || !sign || !said[name].includes(sign)) return;
      done = true;
      seen?.(child);
    });
  return new Promise((resolve) => child.on("close", (code, signal) => resolve({ code, signal, ...said })));
} // biome-ignore format: one line

const temporary = (dir: string) => readdirSync(dir).filter((name) => name.includes(".tmp"));
const WHOLE = ["checkpoint.safetensors", "config.json", "metrics.jsonl", "model.onnx", "report.html", "report.json"];

describe("a signal", () => {
  it("saves a training, says how to go on, and ends it with 128 and its number", async () => {
    const stop = async (name: NodeJS.Signals, code: number) => {
      const out = join(tmp, name);
      const got = await started(trainArgs(out, 5000), { sign: "  2/5000", seen: (child) => child.kill(name) });
      expect(got, name).toMatchObject({ code, signal: null });
      expect(got.stderr).toBe(`\nstopping after ${name}; a second one ends it at once\n`);
      expect(got.stdout).toMatch(new RegExp(`stopped after \\d+ steps; saved in .*\n {2}bayescnn train --resume .*${name}\n$`));
      expect(loadCheckpoint(join(out, "checkpoint.safetensors")).training!.step).toBeGreaterThan(0);
      expect(temporary(out)).toEqual([]);
    };
    await Promise.all([stop("SIGTERM", 143), stop("SIGHUP", 129)]);
  }); // biome-ignore format: one line

  it("a second time ends it at once, and the last checkpoint is whole", async () => {
    const out = join(tmp, "twice");
    const twice = (child: ChildProcess) => {
      child.kill("SIGTERM");
      setTimeout(() => child.kill("SIGINT"), 1);
    };
    const got = await started(trainArgs(out, 5000), { sign: "  2/5000", seen: twice });
    expect([130, 143]).toContain(got.code);
    expect(loadCheckpoint(join(out, "checkpoint.safetensors")).training!.step).toBeGreaterThan(0);
    expect(temporary(out)).toEqual([]);
  });

  it.runIf(process.platform === "linux")("that says the terminal is gone is not heard where it was to be ignored", async () => {
    const out = join(tmp, "nohup");
    const got = await started(trainArgs(out, 4), {
      shell: `trap '' HUP; "$0" "$@" & p=$!; until [ -s "${out}/metrics.jsonl" ]; do sleep 0.05; done; kill -HUP $p; wait $p`,
    });
    expect(got).toMatchObject({ code: 0, stderr: "" });
    expect(readdirSync(out).sort()).toEqual(WHOLE);
  }); // biome-ignore format: one line
});

describe("standard output that", () => {
  it("nobody reads any more ends no training, and a prediction quietly", async () => {
    const out = join(tmp, "head");
    const close = (child: ChildProcess) => child.stdout!.destroy();
    const [trained, both, predicted] = await Promise.all([
      started(trainArgs(out, 2), { sign: "\n", seen: close }),
      started(trainArgs(`${out}-2`, 2), { sign: "\n", seen: (child) => [close(child), child.stderr!.destroy()] }),
      started(["info", ready], { shell: `{ "$0" "$@"; echo "rc $?" >&2; } | :` }),
    ]);
    expect(trained).toMatchObject({ code: 0, stderr: "" });
    expect(both.code).toBe(0);
    expect(predicted.stderr).toBe("rc 141\n");
    for (const dir of [out, `${out}-2`]) expect(readdirSync(dir).sort()).toEqual(WHOLE);
  }); // biome-ignore format: one line

  it.runIf(existsSync("/dev/full"))("is full is said once, and never taken for success", async () => {
    const out = join(tmp, "full");
    const full = openSync("/dev/full", "w");
    const [trained, predicted, silent] = await Promise.all([
      started(trainArgs(out, 2), { stdio: ["ignore", full, "pipe"] }),
      started(["predict", ready, "--index", "0", "--json"], { stdio: ["ignore", full, "pipe"] }),
      started(["info", ready, "--wings"], { stdio: ["ignore", "pipe", full] }),
    ]);
    const sentence = "bayescnn: cannot write standard output: the disk is full (ENOSPC); what follows is lost";
    expect(trained).toMatchObject({ code: 1, stderr: `${sentence}, the work goes on\n` });
    expect(readdirSync(out).sort()).toEqual(WHOLE);
    expect(predicted).toMatchObject({ code: 1, stderr: `${sentence}\n` });
    expect(silent.code).toBe(2);
  });

  it("is read slowly gets every byte", async () => {
    const list = new Array(40).fill("0-59").join(",");
    const got = await started(["predict", ready, "--index", list, "--samples", "1", "--json"], {
      shell: `"$0" "$@" | { sleep 1; cat; }`,
    });
    expect(got.stdout.length).toBeGreaterThan(200_000); // more than a pipe holds
    const lines = got.stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(2400);
    expect(JSON.parse(lines.at(-1)!)).toMatchObject({ image: "mnist 59" });
  });

  it("is a file that is whole", async () => {
    const file = join(tmp, "predictions.jsonl");
    const fd = openSync(file, "w");
    const args = ["predict", ready, "--index", "0-59", "--samples", "1", "--json"];
    expect((await started(args, { stdio: ["ignore", fd, "pipe"] })).code).toBe(0);
    expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(60);
  });
});
