// Runs the tests, grouped by need, and ends with "N passed, N failed, N skipped".
//   node scripts/test.mjs fast   pure TypeScript and the CPU addon, on the best and on the other instruction sets; COVERAGE=1: how much of lib/ that runs
//   node scripts/test.mjs slow   real data, kill and resume, the packed package, sanitizers, NEON and AVX-512 emulated, CUDA emulated
//   node scripts/test.mjs all    both
//   node scripts/test.mjs fuzz   random programs, damaged files and options, far more of them and each time others
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const tier = process.argv[2] ?? "fast";
const { COVERAGE } = process.env;
const require = createRequire(import.meta.url);
const vitest = join(require.resolve("vitest/package.json"), "../vitest.mjs");
const { isa } = require("node-gyp-build")(process.cwd());
const levels = ["avx512bf16", "avx512", "avx2", "base"];
// avx512bf16 is avx512 with another encoding of bf16, which is run as well below
const next = isa === "avx512bf16" ? 2 : levels.indexOf(isa) + 1;
const lower = levels.includes(isa) ? levels.slice(next) : [];
const untested = levels.slice(0, Math.max(0, levels.indexOf(isa)));
const notRun = `skipped: this CPU does not have ${untested.join(" and ")}: compiled but not run`;
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-test-"));
const total = { passed: 0, failed: 0, skipped: 0 };

function run(title, args, env = {}) {
  console.log(`\n== ${title}`);
  const out = join(tmp, "result.json");
  rmSync(out, { force: true });
  const { status } = spawnSync(
    process.execPath,
    [vitest, "run", ...args, "--reporter=default", "--reporter=json", `--outputFile=${out}`],
    {
      stdio: "inherit",
      env: { ...process.env, ...env },
    },
  );
  let counts = { numPassedTests: 0, numFailedTests: 1, numPendingTests: 0 };
  try {
    counts = JSON.parse(readFileSync(out, "utf8"));
  } catch {
    // no report: the runner itself failed
  }
  total.passed += counts.numPassedTests;
  total.failed += counts.numFailedTests || (status ? 1 : 0); // a file that cannot be loaded has no failed test
  total.skipped += (counts.numPendingTests ?? 0) + (counts.numTodoTests ?? 0);
}

try {
  if (tier === "fast" || tier === "all") {
    run(`pure TypeScript and CPU (${isa})`, ["test/pure", "test/cpu", ...(COVERAGE ? ["--coverage"] : [])]);
    const kernels = ["ops", "products", "winograd", "elementwise-accuracy", "golden"].map(
      (t) => `test/cpu/${t}.test.ts`,
    );
    for (const level of lower) run(`CPU kernels on ${level}`, kernels, { BAYESCNN_SIMD: level });
    const form = isa === "avx512bf16" ? "rounded" : "pairs"; // the other one than what was just tested
    const products = ["test/cpu/products.test.ts", "test/cpu/winograd.test.ts"];
    run(`products in bf16, ${form}`, [...products, "-t", "bf16"], { BAYESCNN_BF16: form });
    if (untested.length > 0) console.log(notRun);
  }
  if (tier === "slow" || tier === "all") {
    run("real data", ["test/data"]);
    // every form that can serve a layer, not only the one that is chosen for it
    const OPS = "conv2d,bayesConv2d,bayesConvTranspose2d";
    for (const BAYESCNN_CONV of ["imageLanes", "imagePanels", "rows", "im2col"])
      run(`convolutions as ${BAYESCNN_CONV}`, ["test/cpu/ops.test.ts"], { BAYESCNN_CONV, OPS });
    run("the CUDA device on an emulated GPU", ["test/cuda"]);
    const library = "build-emulated/libbayescnn-cuda.so";
    if (existsSync(library))
      run("op rows on the emulated CUDA device, in three orders of threads", ["test/cpu/ops.test.ts"], {
        BAYESCNN_TEST_DEVICE: "cuda",
        BAYESCNN_CUDA: resolve(library),
        BAYESCNN_EMULATED_ORDER: "turns",
      });
    else console.log(`op rows on the emulated CUDA device skipped: there is no ${library}`);
    run(
      "slow: guides, examples, experiments, kill and resume, boundary, fuzzing, soak, package, sanitizers, emulated instruction sets",
      ["test/slow"],
    );
  }
  if (tier === "fuzz") {
    const { FC_SEED = String(Date.now() % 2 ** 31), FUZZ = "10" } = process.env;
    run(`fuzzing, ${FUZZ} times, seed ${FC_SEED}`, ["test/slow/fuzz.test.ts"], { FC_SEED, FUZZ });
  }
} finally {
  rmSync(tmp, { recursive: true, force: true });
}
if (untested.length > 0) console.log(notRun);
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed ? 1 : 0);
