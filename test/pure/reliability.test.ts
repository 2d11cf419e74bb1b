// docs/reliability.md says what the tests have counted, and names tests that exist.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { read, root } from "../docs-kit/blocks.ts";

interface Row {
  readonly what: string;
  readonly test: string;
  readonly tries: number;
}
const { merge, render } = (await import(join(root, "scripts/reliability.mjs"))) as {
  merge(figures: readonly Row[], lines: readonly Row[]): Row[];
  render(page: string, figures: readonly Row[]): string;
};
const figures: Row[] = JSON.parse(read("docs/reliability.json"));
const page = read("docs/reliability.md");

it("the table is made of docs/reliability.json (node scripts/reliability.mjs)", () => {
  expect(page).toBe(render(page, figures));
});

it("every row is counted by its test, and every count has its row", () => {
  const files = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .filter((f) => f.endsWith(".test.ts"))
    .map((f) => `test/${f.replaceAll("\\", "/")}`);
  const counted = files.flatMap((file) =>
    [...read(file).matchAll(/\btries\("([^"]+)"/g)].map(([, what]) => `${file}: ${what}`),
  );
  const rows = figures.map(({ what, test }) => `${test}: ${what}`);
  // what is new gets its number from BAYESCNN_TRIES=FOLDER npx vitest run FILE, node scripts/reliability.mjs FOLDER
  expect([...new Set(counted)].sort()).toEqual([...rows].sort());
  for (const { tries } of figures) expect(tries).toBeGreaterThan(0);
});

it("every link of the page leads somewhere", () => {
  const links = [...page.matchAll(/\]\(([^)#:]+)[^)]*\)/g)].map(([, link]) => link);
  expect(links.length).toBeGreaterThan(figures.length);
  expect(links.filter((link) => !existsSync(join(root, "docs", link)))).toEqual([]);
});

it("counts of several processes are added; test files that were not run keep theirs", () => {
  const old = [
    { what: "kills", test: "a.test.ts", tries: 20 },
    { what: "gone", test: "b.test.ts", tries: 5 },
  ];
  const lines = [1, 2].map((tries) => ({ what: "flips", test: "b.test.ts", tries }));
  const rows = merge(old, lines);
  expect(rows).toEqual([old[0], { what: "flips", test: "b.test.ts", tries: 3 }]);
  const made = render("x\n<!-- tries -->\nold\n<!-- /tries -->\ny\n", rows);
  expect(made).toContain("| flips | 3 | [b.test.ts](../b.test.ts) |\n<!-- /tries -->\ny\n");
  expect(made).not.toContain("old");
});
