// Adding an op is a handful of files with one stem; nothing lists them. This is where a missing piece is noticed.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const stems = (dir: string, ending: string) =>
  readdirSync(join(root, dir)).flatMap((f) => (f.endsWith(ending) ? [f.slice(0, -ending.length)] : []));

// a file of lib/ops is an op when it exports a function named after it; others are shared helpers
const ops = stems("lib/ops", ".ts")
  .map((stem) => ({ stem, text: readFileSync(join(root, `lib/ops/${stem}.ts`), "utf8") }))
  .filter(({ stem, text }) => new RegExp(`^export (const|function) ${stem}`, "m").test(text));
// it has a kernel of its own unless it is composed of other ops or only a view
const own = ops.filter(({ text }) => /\b(apply|applyEffect|effect)\(/.test(text) && !/view: true/.test(text));
const kernels = stems("native/ops", ".cpp").filter((stem) => stem !== "copy"); // copy is the planner's own

it("finds the ops", () => {
  expect(own.length).toBeGreaterThan(40);
  expect(ops.length).toBeGreaterThan(own.length);
});

it("every op with a record has a kernel file of its stem, and every kernel file has a record", () => {
  expect(own.map((o) => o.stem).sort()).toEqual(kernels.sort());
});

it("every op with outputs has rows of cases of its stem", () => {
  const missing = own.filter(
    ({ stem, text }) => !/\b(applyEffect|effect)\(/.test(text) && !existsSync(join(root, `test/ops/${stem}.ts`)),
  );
  expect(missing.map((o) => o.stem)).toEqual([]);
});
