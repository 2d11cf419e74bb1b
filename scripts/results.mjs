// Writes docs/results.md and its plots from results/: every figure in it comes from one of those files.
//   node scripts/results.mjs           writes them
//   node scripts/results.mjs --check   ends with 1 where they are not what results/ gives
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { experiments } from "../dist/experiments/index.js";
import { drawn } from "./results/kit.mjs";

const root = join(import.meta.dirname, "..");
const check = process.argv.includes("--check");
const TEXT = "docs/results.md";
const FOLDER = "docs/results";

const read = (name) =>
  existsSync(join(root, "results", name))
    ? readdirSync(join(root, "results", name))
        .filter((file) => file.endsWith(".json"))
        .sort()
        .map((file) => JSON.parse(readFileSync(join(root, "results", name, file), "utf8")))
    : [];

/** What the page consists of, by path. */
const files = new Map();
const parts = [];
for (const experiment of experiments) {
  const results = read(experiment.name);
  const units = experiment.units({ quick: false, seed: 1 });
  const { section } = await import(`./results/${experiment.name}.mjs`);
  const kit = {
    units,
    /** Draws a Vega-Lite specification; returns the line that shows it. */
    async plot(name, alt, spec) {
      const file = `${experiment.name}-${name}.svg`;
      files.set(`${FOLDER}/${file}`, await drawn(spec));
      return `![${alt}](results/${file})`;
    },
  };
  parts.push(
    `## ${experiment.title}`,
    "",
    (await section(results, kit)).trim(),
    "",
    missing(experiment, units, results),
  );
}

/** What was not run, with the command that does. */
function missing({ name }, units, results) {
  const known = new Set(results.map((r) => r.unit));
  const open = units.filter((u) => !known.has(u.name));
  if (open.length === 0) return "";
  const minutes = open.reduce((sum, u) => sum + u.minutes, 0);
  const time = minutes < 90 ? `${Math.ceil(minutes)} minutes` : `${Math.ceil(minutes / 60)} hours`;
  return `${open.length} of ${units.length} units are not run, because they take about ${time} more on one core: \`npx bayescnn experiment ${name}\` runs them, \`--list\` names them.\n`;
}

files.set(
  TEXT,
  `# Results

What this library reaches on the experiments of the paper (Shridhar, Laumann, Liwicki 2019, arXiv:1901.02731), each beside its frequentist twin. All
figures come from the files in \`results/\`, which the command \`experiment\` writes with settings, seed, commit, command, device and time;
\`node scripts/results.mjs\` makes this page of them. Data sets are looked for in \`--data-dir\`, \`$BAYESCNN_DATA\` or \`./data\`.

${parts.join("\n").replace(/\n{3,}/g, "\n\n")}`,
);

const stale = (existsSync(join(root, FOLDER)) ? readdirSync(join(root, FOLDER)) : [])
  .map((name) => `${FOLDER}/${name}`)
  .filter((path) => path.endsWith(".svg") && !files.has(path));
const differing = [...files].filter(
  ([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), "utf8") !== text,
);
if (check) {
  for (const path of [...stale, ...differing.map(([path]) => path)])
    console.error(`${path} is not what results/ gives`);
  process.exit(stale.length + differing.length > 0 ? 1 : 0);
}
for (const path of stale) rmSync(join(root, path));
for (const [path, text] of differing) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
  console.log(path);
}
