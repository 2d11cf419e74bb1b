// Runs the tests, grouped by need, and ends with "N passed, N failed, N skipped".
//   node scripts/test.mjs fast   pure TypeScript and the CPU addon, on the best and on the other instruction sets; COVERAGE=1: how much of lib/ that runs
//   node scripts/test.mjs slow   real data, kill and resume, the packed package, sanitizers, NEON and AVX-512 emulated, CUDA emulated
//   node scripts/test.mjs all    both
//   node scripts/test.mjs fuzz   random programs, damaged files and options, far more of them and each time others
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
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

const started = (args, out, env) => [
  [vitest, "run", ...args, "--reporter=default", "--reporter=json", `--outputFile=${out}`],
  { env: { ...process.env, ...env } },
];
function count(out, status) {
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

function run(title, args, env = {}) {
  console.log(`\n== ${title}`);
  const out = join(tmp, "result.json");
  rmSync(out, { force: true });
  const [command, options] = started(args, out, env);
  const { status } = spawnSync(process.execPath, command, { ...options, stdio: "inherit" });
  count(out, status);
}

/** Runs of one file each, side by side: a file has one core. What they print comes when each is done. */
async function sideBySide(runs) {
  await Promise.all(
    runs.map(async ([title, args, env = {}], i) => {
      const out = join(tmp, `result-${i}.json`);
      rmSync(out, { force: true });
      const [command, options] = started(args, out, env);
      const child = spawn(process.execPath, command, { ...options, stdio: ["ignore", "pipe", "pipe"] });
      let text = "";
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (part) => {
          text += part;
        });
      const [status] = await once(child, "close");
      console.log(`\n== ${title}\n${text}`);
      count(out, status);
    }),
  );
}

try {
  if (tier === "fast" || tier === "all") {
    run(`pure TypeScript and CPU (${isa})`, ["test/pure", "test/cpu", ...(COVERAGE ? ["--coverage"] : [])]);
    const kernels = ["ops", "products", "winograd", "elementwise-accuracy", "gaussians", "golden"].map(
      (t) => `test/cpu/${t}.test.ts`,
    );
    for (const level of lower) run(`CPU kernels on ${level}`, kernels, { BAYESCNN_SIMD: level });
    const form = isa === "avx512bf16" ? "rounded" : "pairs"; // the other one than what was just tested
    const products = ["test/cpu/products.test.ts", "test/cpu/winograd.test.ts"];
    run(`products in bf16, ${form}`, [...products, "-t", "bf16"], { BAYESCNN_BF16: form });
    if (untested.length > 0) console.log(notRun);
  }
  if (tier === "slow" || tier === "all") {
    // every form that can serve a layer, not only the one that is chosen for it
    const OPS = "conv2d,linear,bayesConv2d,bayesConvTranspose2d";
    const as = (BAYESCNN_CONV) => [
      `convolutions as ${BAYESCNN_CONV}`,
      ["test/cpu/ops.test.ts"],
      { BAYESCNN_CONV, OPS },
    ];
    await sideBySide(["imageLanes", "imagePanels"].map(as));
    await sideBySide(["rows", "im2col", "channelLanes"].map(as)); // shorter ones
    spawnSync(process.execPath, ["scripts/build-emulated.mjs"]); // test/cuda says why where that fails
    const library = "build-emulated/libbayescnn-cuda.so";
    const emulated = {
      BAYESCNN_TEST_DEVICE: "cuda",
      BAYESCNN_CUDA: resolve(library),
      BAYESCNN_EMULATED_ORDER: "turns",
    };
    const rows = "op rows on the emulated CUDA device, in three orders of threads";
    await sideBySide([
      ["the CUDA device on an emulated GPU", ["test/cuda"]],
      ...(existsSync(library) ? [[rows, ["test/cpu/ops.test.ts"], emulated]] : []),
      ["real data", ["test/data"]],
    ]);
    if (!existsSync(library)) console.log(`${rows}: skipped, there is no ${library}`);
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
