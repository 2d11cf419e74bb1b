// Adding an op is a handful of files with one stem; nothing lists them. This is where a missing piece is noticed.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const stems = (dir: string, ending: string) =>
  readdirSync(join(root, dir))
    .filter((f) => f.endsWith(ending))
    .map((f) => f.slice(0, -ending.length));
const source = (dir: string, file: string) => readFileSync(join(root, dir, file), "utf8");

const kernels = new Set(stems("native/ops", ".cpp").flatMap((s) => [...source("native/ops", `${s}.cpp`).matchAll(/\bOP\((\w+)\)/g)].map((m) => m[1])));
const records = stems("lib/ops", ".ts").map((stem) => ({ stem, text: source("lib/ops", `${stem}.ts`) }));
const named = (text: string) => [...text.matchAll(/\bname: "(\w+)"/g)].map((m) => m[1]);

it("every op record has a kernel, unless it is a view", () => {
  for (const { stem, text } of records)
    for (const name of named(text)) if (!/view: true/.test(text)) expect(kernels, `lib/ops/${stem}.ts names "${name}"`).toContain(name);
});

it("every kernel has a record", () => {
  const known = new Set(records.flatMap(({ text }) => named(text)));
  known.add("copy"); // the planner's own
  for (const k of kernels) expect(known, `native op ${k}`).toContain(k);
});

it("every file of op records has rows of test cases of the same stem", () => {
  const rows = new Set(stems("test/ops", ".ts"));
  for (const { stem, text } of records) if (named(text).length) expect(rows, `test/ops/${stem}.ts`).toContain(stem);
});
