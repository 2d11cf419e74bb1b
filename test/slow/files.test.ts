// Locks and files of processes that end in whatever way.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { LOCK, RunLock } from "../../lib/train/lock.ts";
import { writeFileAtomic } from "../../lib/util/atomic.ts";
import { ownerText, self } from "../../lib/util/owner.ts";
import { build } from "../built.ts";

const root = mkdtempSync(join(tmpdir(), "bayescnn-files-"));
beforeAll(build, 300_000);
afterAll(() => rmSync(root, { recursive: true }));
const MAIN = join(import.meta.dirname, "../../dist/cli/main.js");
let dir = "";
let runs = 0;
beforeEach(() => {
  dir = join(root, String(runs++));
  mkdirSync(dir);
});

/** Starts a child; what it says, line by line, as it comes. */
function child(
  task: string,
  ...more: string[]
): { process: ChildProcess; said: Promise<unknown>; end: Promise<unknown> } {
  const started = spawn("node", [join(import.meta.dirname, "files-child.mjs"), task, dir, ...more], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const said = new Promise((done, lost) => {
    let text = "";
    started.stdout.on("data", (piece) => {
      text += piece;
      if (text.includes("\n")) done(JSON.parse(text.split("\n")[0]));
    });
    started.on("exit", () => lost(new Error(`${task} said nothing`)));
  });
  return { process: started, said, end: new Promise((done) => started.on("exit", done)) };
}

it("a lock is held by a process that runs or is stopped, and by none that was killed", async () => {
  const { process: holder, said, end } = child("hold");
  expect(await said).toBe("object");
  const told = new RegExp(`which process ${holder.pid} has held since 20`);
  expect(() => RunLock.take(dir)).toThrow(told);
  holder.kill("SIGSTOP");
  expect(() => RunLock.take(dir)).toThrow(told);
  holder.kill("SIGKILL");
  await end;
  expect(readdirSync(dir)).toEqual([LOCK]);
  RunLock.take(dir)[Symbol.dispose]();
  expect(readdirSync(dir)).toEqual([]);
}, 60_000);

it("of many processes that find a dead lock at the same moment one gets it", async () => {
  const ROUNDS = 60;
  const { pid } = spawnSync("true");
  const dead = JSON.stringify({ owner: ownerText({ ...self(), pid: pid!, thread: pid! }) });
  for (let round = 0; round < ROUNDS; round++) {
    mkdirSync(join(dir, String(round)));
    if (round % 4 > 0) writeFileSync(join(dir, String(round), LOCK), `${dead}${" ".repeat(round)}`);
  }
  const start = Date.now() + 3000;
  const racers = Array.from({ length: 6 }, () => child("race", String(ROUNDS), String(start)));
  const won = (await Promise.all(racers.map(({ said }) => said))) as number[][];
  expect(won.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: ROUNDS }, (_, i) => i));
  for (let round = 0; round < ROUNDS; round++) expect(readdirSync(join(dir, String(round)))).toEqual([LOCK]);
  console.log(`rounds won by each: ${won.map(({ length }) => length).join(", ")}`);
  await Promise.all(racers.map(({ end }) => end));
}, 120_000);

it("a worker's lock dies with the worker", async () => {
  const { said } = child("worker");
  expect(await said).toEqual([expect.stringMatching(/\(this one\), worker 1, has held since/), "object"]);
}, 60_000);

it("what a killed process has not finished goes with the next write into the folder, what another one writes stays", async () => {
  writeFileSync(join(dir, "killed"), "as it was");
  const children = [child("write", "killed"), child("write", "running")];
  for (const { said } of children) expect(await said).toBe("piece");
  children[0].process.kill("SIGKILL");
  await children[0].end;
  expect(readdirSync(dir).filter((name) => name.endsWith(".tmp")).length).toBe(2);
  writeFileAtomic(join(dir, "mine"), "x");
  const left = readdirSync(dir).filter((name) => name.endsWith(".tmp"));
  expect(left).toEqual([expect.stringContaining(".running.")]);
  expect(readFileSync(join(dir, "killed"), "utf8")).toBe("as it was");
  children[1].process.kill("SIGKILL");
  await children[1].end;
}, 60_000);

it("a checkpoint for which there is no room is told; the older one stays, and the run can be gone on with", async () => {
  const train = (limit: number | "unlimited", ...more: string[]) =>
    spawnSync("bash", ["-c", `ulimit -f ${limit}; exec "$0" "$@"`, process.execPath, MAIN, "train", ...more], {
      cwd: dir,
      encoding: "utf8",
      env: { ...process.env, BAYESCNN_DATA: dir },
    });
  const few = ["--batch", "500", "--validation", "500", "--test-samples", "1"];
  const fresh = train(500, ...few, "--epochs", "1", "--out", "run");
  expect(fresh.stderr).toMatch(/^bayescnn: \[write\] cannot write .*checkpoint\.safetensors: .*\(EFBIG\)\n$/);
  expect(fresh.status).toBe(1);
  expect(readdirSync(dir)).toEqual([]); // nothing that the next try would meet
  expect(train("unlimited", ...few, "--epochs", "1", "--out", "run").status).toBe(0);
  const before = readFileSync(join(dir, "run/checkpoint.safetensors"));
  const later = train(500, "--resume", "run", "--epochs", "2");
  expect(later.stderr).toMatch(/\(EFBIG\)\n$/);
  expect(later.status).toBe(1);
  expect(readFileSync(join(dir, "run/checkpoint.safetensors")).equals(before)).toBe(true);
  expect(readdirSync(join(dir, "run")).filter((name) => name.startsWith("."))).toEqual([]);
  expect(train("unlimited", "--resume", "run", "--epochs", "2").status).toBe(0);
}, 300_000);

it("a file of more than 2 GiB is written and read again", async () => {
  if (freemem() < 9 * 2 ** 30) return console.log("skipped: a file of 2 GiB (less than 9 GiB of free memory)");
  const { said, end } = child("large");
  expect(await said).toEqual([[2 ** 29 + 16], 3, 0]);
  await end;
  expect(statSync(join(dir, "large.safetensors")).size).toBeGreaterThan(2 ** 31);
  rmSync(join(dir, "large.safetensors"));
}, 300_000);
