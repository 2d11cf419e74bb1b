// Adding an op is a handful of files with one stem. This is where a missing piece is noticed, and where folders that import
// each other in a circle are.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const stems = (dir: string, ending: string) =>
  readdirSync(join(root, dir)).flatMap((f) => (f.endsWith(ending) ? [f.slice(0, -ending.length)] : []));

// a file of lib/ops is an op, and exports a function named after it; what ops share is in ops/shared
const ops = stems("lib/ops", ".ts")
  .filter((stem) => stem !== "index")
  .map((stem) => ({ stem, text: readFileSync(join(root, `lib/ops/${stem}.ts`), "utf8") }));
// it has a kernel of its own unless it is composed of other ops or only a view
const own = ops.filter(({ text }) => /\b(apply|applyEffect|effect)\(/.test(text) && !/view: true/.test(text));
const kernels = stems("native/ops", ".cpp").filter((stem) => stem !== "copy"); // copy is the planner's own

it("every file of an op exports it", () => {
  expect(own.length).toBeGreaterThan(40);
  const without = ops.filter(
    ({ stem, text }) => !new RegExp(`^export (const|function) ${stem}(Update)?\\b`, "m").test(text),
  );
  expect(without.map((o) => o.stem)).toEqual([]);
});

it("the index has a line for every op", () => {
  const index = readFileSync(join(root, "lib/ops/index.ts"), "utf8");
  expect(index.match(/^export .*$/gm)?.sort()).toEqual(ops.map(({ stem }) => `export * from "./${stem}.ts";`).sort());
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

it("no folders of lib import each other in a circle", () => {
  const floors = (of: string) =>
    spawnSync(process.execPath, [join(root, "scripts/floors.mjs"), of], { encoding: "utf8" });
  const { status, stdout } = floors("lib");
  expect(stdout).toMatch(/ layers .* -> .*\bgraph\b/);
  expect(stdout).not.toContain("a circle of folders");
  expect(status).toBe(0);
  const folder = mkdtempSync(join(tmpdir(), "bayescnn-rooms-"));
  try {
    for (const [a, b] of ["xy", "yx"]) {
      mkdirSync(join(folder, a));
      writeFileSync(join(folder, a, "file.ts"), `import type { T } from "../${b}/file.ts";\n`);
    }
    const { status, stdout } = floors(folder);
    expect(stdout).toMatch(/a circle of folders: [xy], [xy]/);
    expect(status).toBe(1);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
