import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadCheckpoint } from "../../lib/checkpoints/checkpoint.ts";
import { withoutWall } from "../cpu/train-kit.ts";
import { random } from "../ops/harness.ts";
import { tries } from "../tries.ts";

const KILLS = 20;
const root = mkdtempSync(join(tmpdir(), "bayescnn-kill-"));
const project = join(import.meta.dirname, "../..");
beforeAll(() => {
  if (!existsSync(join(project, "dist/train/fit.js"))) spawnSync("npm", ["run", "build:ts"], { cwd: project });
});
afterAll(() => rmSync(root, { recursive: true }));

/** Runs the child in a folder, killed so many milliseconds after its first step (or from its start), or not at all. */
function child(
  folder: string,
  kill?: { after: number; from: "start" | "step" },
): Promise<{ killed: boolean; first: number; last: number }> {
  const process = spawn("node", [join(import.meta.dirname, "kill-child.mjs"), folder], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const started = performance.now();
  let first = 0;
  let errors = "";
  let timer: NodeJS.Timeout | undefined;
  const arm = () => (timer = setTimeout(() => process.kill("SIGKILL"), kill?.after));
  if (kill?.from === "start") arm();
  process.stdout.on("data", () => {
    if (first === 0 && kill?.from === "step") arm();
    first ||= performance.now() - started;
  });
  process.stderr.on("data", (text) => (errors += text));
  return new Promise((resolve, reject) => {
    process.on("exit", (code, signal) => {
      clearTimeout(timer);
      if (code !== 0 && signal !== "SIGKILL") return reject(new Error(`child ended with ${code}: ${errors}`));
      resolve({ killed: signal === "SIGKILL", first, last: performance.now() - started });
    });
  });
}

const outcome = (folder: string) => {
  const { training, tensors } = loadCheckpoint(join(folder, "checkpoint.safetensors"));
  const bytes = ({ data }: { data: ArrayBufferView }) =>
    Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
  return {
    training,
    tensors: Object.fromEntries([...tensors].map(([name, t]) => [name, bytes(t)])),
    metrics: withoutWall(readFileSync(join(folder, "metrics.jsonl"), "utf8")),
    best: readFileSync(join(folder, "best.safetensors")).toString("base64"),
    files: readdirSync(folder).sort(),
  };
};

it(`a run killed ${KILLS} times at random moments and resumed equals the uninterrupted one, bit for bit`, async () => {
  const whole = join(root, "whole");
  const { first, last } = await child(whole);
  const expected = outcome(whole);
  expect(expected.training?.step).toBe(140);
  const next = random(Date.now());
  let kills = 0;
  for (let folder = 0; kills < KILLS; folder++) {
    const path = join(root, String(folder));
    for (let over = false; !over; ) {
      const kind = next();
      const plan =
        kills >= KILLS
          ? undefined
          : kind < 0.2
            ? { from: "start" as const, after: next() * first }
            : { from: "step" as const, after: (next() * (last - first)) / 4 };
      const { killed } = await child(path, plan);
      if (killed) kills++;
      else over = true;
    }
    expect(outcome(path)).toEqual(expected);
  }
  tries("trainings killed and resumed, bit for bit", kills);
}, 600_000);
