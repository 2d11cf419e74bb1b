// A process that makes, trains, asks and closes models for a minute neither grows nor keeps anything open.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { build } from "../built.ts";
import { tries } from "../tries.ts";

beforeAll(build);
const SECONDS = 60;

it(`memory, files, threads and handles stay as they are for ${SECONDS} seconds of models coming and going`, () => {
  const child = join(import.meta.dirname, "soak-child.mjs");
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--expose-gc", child, String(SECONDS)], {
    encoding: "utf8",
    env: { ...process.env, NODE_NO_WARNINGS: "1" },
  });
  expect(status, stderr).toBe(0);
  const rounds: Record<"rss" | "files" | "threads" | "handles", number>[] = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(rounds.length).toBeGreaterThan(10);
  const settled = rounds.slice(Math.ceil(rounds.length / 4)); // code is compiled, heaps have found their size
  const median = (part: typeof rounds, of: keyof (typeof rounds)[0]) =>
    part.map((round) => round[of]).sort((a, b) => a - b)[part.length >> 1];
  const third = Math.floor(settled.length / 3);
  const [first, last] = [settled.slice(0, third), settled.slice(-third)];
  // of models that take some megabytes each: keeping one in fifty would be seen
  expect(median(last, "rss") - median(first, "rss"), "bytes more").toBeLessThan(8e6 + 1e4 * rounds.length);
  for (const what of ["files", "threads", "handles"] as const)
    expect(median(last, what), what).toBe(median(first, what));
  tries("models made, trained, asked, saved, opened and closed in one process", rounds.length);
}, 300_000);
