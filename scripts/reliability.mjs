// The table of tries in docs/reliability.md, from docs/reliability.json; tests write what goes into the latter (test/tries.ts).
//   BAYESCNN_TRIES=FOLDER npm run test:all   runs the tests; FOLDER has to exist
//   node scripts/reliability.mjs FOLDER      takes their counts into docs/reliability.json, then writes the table
//   node scripts/reliability.mjs             writes the table
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(import.meta.dirname, "..");
const [begin, end] = ["<!-- tries -->", "<!-- /tries -->"];

/** Rows {what, test, tries} of `figures`, those of every test file that has counted anew replaced by the sums of `lines`. */
export function merge(figures, lines) {
  const sums = new Map();
  for (const { what, test, tries } of lines) {
    const key = `${test}\n${what}`;
    sums.set(key, { what, test, tries: (sums.get(key)?.tries ?? 0) + tries });
  }
  const anew = new Set(lines.map(({ test }) => test));
  const rows = [...figures.filter(({ test }) => !anew.has(test)), ...sums.values()];
  return rows.sort((a, b) => (`${a.test} ${a.what}` < `${b.test} ${b.what}` ? -1 : 1));
}

/** The page with the table of these figures between its two marks. */
export function render(page, figures) {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`docs/reliability.md has no ${begin} … ${end}`);
  const rows = figures.map(
    ({ what, test, tries }) => `| ${what} | ${tries.toLocaleString("en-US")} | [${test}](../${test}) |`,
  );
  const table = ["| what | tries | test |", "| --- | ---: | --- |", ...rows].join("\n");
  return `${page.slice(0, from)}${begin}\n${table}\n${page.slice(to)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [json, page] = ["docs/reliability.json", "docs/reliability.md"].map((file) => join(root, file));
  const [folder] = process.argv.slice(2);
  const lines = (folder ? readdirSync(folder) : [])
    .filter((file) => file.endsWith(".jsonl"))
    .flatMap((file) => readFileSync(join(folder, file), "utf8").trim().split("\n"))
    .map((line) => JSON.parse(line));
  const figures = merge(JSON.parse(readFileSync(json, "utf8")), lines);
  if (folder) writeFileSync(json, `[\n${figures.map((row) => `  ${JSON.stringify(row)}`).join(",\n")}\n]\n`);
  writeFileSync(page, render(readFileSync(page, "utf8"), figures));
  console.log(`docs/reliability.md: ${figures.length} rows`);
}
