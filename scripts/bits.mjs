// Do the kernels still give the same bits? Hashes of op rows, layers, training steps and predictions (test/bits), on every
// instruction set of this machine and in both forms of bf16:
//   node scripts/bits.mjs before.json              writes them down
//   node scripts/bits.mjs before.json --compare    exits with 1 where one differs, and names it
//   node scripts/bits.mjs before.json --compare avx2 base    these instruction sets alone
// They hold for one compiler and one C library, so they are recorded before a change and thrown away after it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [file, ...rest] = process.argv.slice(2);
const compare = rest.includes("--compare");
const only = rest.filter((word) => word !== "--compare");
if (!file) {
  console.error("usage: node scripts/bits.mjs FILE [--compare] [avx512bf16] [avx512] [avx2] [base]");
  process.exit(2);
}
const require = createRequire(import.meta.url);
const vitest = join(require.resolve("vitest/package.json"), "../vitest.mjs");
const { isa } = require("node-gyp-build")(process.cwd());
const levels = ["avx512bf16", "avx512", "avx2", "base"];
// each instruction set as it is, and then those that multiply rounded floats by pairs
const runs = levels
  .slice(Math.max(0, levels.indexOf(isa)))
  .flatMap((simd) => [{ simd }, ...(simd === "avx512bf16" ? [] : [{ simd, pairs: true }])])
  .filter(({ simd }) => only.length === 0 || only.includes(simd));

const before = compare ? JSON.parse(readFileSync(file, "utf8")) : {};
const all = {};
let different = 0;
const folder = mkdtempSync(join(tmpdir(), "bayescnn-bits-"));
for (const { simd, pairs } of runs) {
  const name = pairs ? `${simd}, pairs` : simd;
  const out = join(folder, "bits.json");
  rmSync(out, { force: true });
  const env = { ...process.env, BITS: out, BAYESCNN_SIMD: simd, ...(pairs && { BAYESCNN_BF16: "pairs" }) };
  const run = spawnSync(process.execPath, [vitest, "run", "test/bits/bits.test.ts"], { env, encoding: "utf8" });
  if (run.status !== 0) {
    console.error(run.stdout + run.stderr);
    process.exit(1);
  }
  const found = JSON.parse(readFileSync(out, "utf8"));
  all[name] = found;
  const was = before[name] ?? {};
  const changed = compare ? Object.keys({ ...was, ...found }).filter((item) => was[item] !== found[item]) : [];
  different += changed.length;
  console.log(`${name}: ${Object.keys(found).length} hashes${compare ? `, ${changed.length} differ` : ""}`);
  for (const item of changed.slice(0, 40)) console.log(`  ${item}: ${was[item]} before, ${found[item]} now`);
}
rmSync(folder, { recursive: true });
if (!compare) writeFileSync(file, `${JSON.stringify(all, null, 1)}\n`);
process.exit(different ? 1 : 0);
