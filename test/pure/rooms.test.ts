// Adding an op is a handful of files with one stem. This is where a missing piece is noticed, and where folders that import
// each other in a circle are.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
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

/** A way along the arrows from a folder back to itself; undefined where there is none. */
function circle(arrows: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const walk = (folder: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(folder)) return [...path.slice(path.indexOf(folder)), folder];
    if (done.has(folder)) return undefined;
    for (const next of arrows.get(folder) ?? []) {
      const found = walk(next, [...path, folder]);
      if (found) return found;
    }
    done.add(folder);
    return undefined;
  };
  for (const folder of arrows.keys()) {
    const found = walk(folder, []);
    if (found) return found;
  }
  return undefined;
}

/** Which folder imports from which, values and types, of the files given. */
function arrowsOf(files: ReadonlyMap<string, string>): Map<string, Set<string>> {
  const arrows = new Map<string, Set<string>>();
  for (const [file, text] of files)
    for (const [, at] of text.matchAll(/(?:^(?:import|export)\b[^;"]*?|\bimport\()"(\.[^"]+)"/gm)) {
      const [from, to] = [dirname(file), dirname(join(dirname(file), at))];
      if (from !== to) arrows.set(from, (arrows.get(from) ?? new Set()).add(to));
    }
  return arrows;
}

it("no folders of lib import each other in a circle", () => {
  const files = readdirSync(join(root, "lib"), { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts"));
  const arrows = arrowsOf(new Map(files.map((f) => [f, readFileSync(join(root, "lib", f), "utf8")])));
  expect(arrows.get("layers")).toContain("graph");
  expect(circle(arrows)?.join(" -> ")).toBeUndefined();
  const back = new Map([...arrows, ["graph", new Set([...(arrows.get("graph") ?? []), "layers"])]]);
  expect(circle(back)?.join(" -> ")).toContain("graph -> layers");
});
