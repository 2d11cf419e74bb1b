// The op rows, products of every form, steps that are changed a little, random programs and what may happen at the boundary, under AddressSanitizer with
// UndefinedBehaviorSanitizer, and under ThreadSanitizer: two copies, each with its own build. Node itself is not instrumented:
// ThreadSanitizer is told to look at what happens in our code alone (the locks and threads of all are known to it).
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadAddon } from "../../lib/native/addon.ts";
import { others, phases, scenario } from "../boundary/run.ts";
import { build } from "../built.ts";
import { batch } from "../fuzz/batch.ts";
import { tries } from "../tries.ts";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-sanitizer-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

interface Sanitizer {
  readonly flags: string;
  /** The tests of kernels that run under it. */
  readonly files: readonly string[];
  /** The ops whose rows do; default: all. */
  readonly ops?: string;
  /** Its libraries: they have to come first in a process that does not know them. */
  readonly libraries: readonly string[];
  readonly options: Record<string, string>;
  /** A fault that it has to see, in the constructor of a library, and what it says then. */
  readonly fault: string;
  readonly says: RegExp;
}
const sanitizers: Record<string, Sanitizer> = {
  "AddressSanitizer and UndefinedBehaviorSanitizer": {
    flags: "address,undefined",
    files: ["ops", "products", "plan-checks"],
    libraries: ["libasan.so", "libubsan.so"],
    options: {
      ASAN_OPTIONS: "detect_leaks=0:halt_on_error=1", // node itself keeps what it allocated
      UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1",
    },
    fault: "volatile int* p = new int[4]; p[4] = 1;",
    says: /AddressSanitizer: heap-buffer-overflow/,
  },
  ThreadSanitizer: {
    flags: "thread",
    files: ["ops"], // the forms of products share the pool's one way to split work
    // every way to split it: elementwise, lists, broadcasts, sums, rows, windows, products, images of a data set
    ops: "relu,sigma2FromRho,klGaussian,mul,sum,softmaxCrossEntropy,maxPool2d,batchNorm2d,conv2d,bayesConv2d,bayesLinear,gatherBatch,gaussianNoise,transpose",
    libraries: ["libtsan.so"],
    options: { TSAN_OPTIONS: "ignore_noninstrumented_modules=1:report_thread_leaks=0" }, // a process may end during a run
    // two threads: what the one that loads the library does meanwhile counts as node's
    fault: "static int n = 0; std::thread a([] { n++; }), b([] { n++; }); a.join(), b.join();",
    says: /ThreadSanitizer: data race/,
  },
};

const runtime = (name: string): string | undefined => {
  const found = spawnSync("g++", [`-print-file-name=${name}`], { encoding: "utf8" }).stdout?.trim() ?? "";
  return found.startsWith("/") && existsSync(found) ? found : undefined;
};

/** How node starts under a sanitizer, or why it does not: some kernels place memory where the runtime wants its own. */
function launcher({ libraries, options }: Sanitizer): { prefix: string[]; env: Record<string, string> } | string {
  if (process.platform !== "linux") return "this is not Linux";
  const found = libraries.map(runtime);
  if (found.includes(undefined)) return `g++ has no ${libraries.join(", ")}`;
  const env = { ...options, LD_PRELOAD: found.join(":") };
  let why = "";
  for (const prefix of [[], ["setarch", "-R"]]) {
    const [file, ...args] = [...prefix, process.execPath, "-e", "0"];
    const { status, stderr } = spawnSync(file, args, { encoding: "utf8", env: { ...process.env, ...env } });
    if (status === 0 && !stderr) return { prefix, env };
    why ||= stderr?.split("\n")[0] ?? "";
  }
  return `node does not start with it: ${why}`;
}

for (const [name, sanitizer] of Object.entries(sanitizers)) {
  const start = launcher(sanitizer);
  if (typeof start === "string") {
    console.log(`${name}: skipped, because ${start}`);
    it.skip(`${name} (skipped: ${start})`, () => {});
    continue;
  }
  const { prefix, env } = start;
  const copy = join(tmp, sanitizer.flags);
  const timeout = 1_200_000;
  const node = (args: readonly string[], more: Record<string, string> = {}) => {
    const [file, ...rest] = [...prefix, process.execPath, ...args];
    const { BAYESCNN_TRIES: _, ...outer } = process.env;
    return spawnSync(file, rest, { cwd: copy, encoding: "utf8", env: { ...outer, ...env, ...more } });
  };

  describe(`${name} finds nothing`, () => {
    beforeAll(() => {
      build();
      for (const part of "package.json binding.gyp native lib dist test scripts vitest.config.ts tsconfig.json".split(
        " ",
      ))
        cpSync(join(root, part), join(copy, part), { recursive: true });
      symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
      const nodedir = join(process.execPath, "../..");
      const headers = existsSync(join(nodedir, "include/node/common.gypi")) ? { npm_config_nodedir: nodedir } : {};
      const gyp = join(root, "node_modules/node-gyp/bin/node-gyp.js");
      const isa = /^avx(2|512)/.exec(loadAddon().isa)?.[0]; // the one that runs
      const flags = [`-Dsanitize=${sanitizer.flags}`, ...(isa ? [`-Disa=${isa}`] : [])];
      execFileSync(process.execPath, [gyp, "rebuild", "--silent", "--", ...flags], {
        cwd: copy,
        env: { ...process.env, ...headers, JOBS: String(cpus().length) },
        stdio: "pipe",
      });
    }, timeout);

    it("but what is there", () => {
      const [source, library] = [join(copy, "fault.cpp"), join(copy, "fault.so")];
      writeFileSync(
        source,
        `#include <thread>\n__attribute__((constructor)) static void fault() { ${sanitizer.fault} }\n`,
      );
      const flags = ["-std=c++17", "-g1", "-fPIC", "-shared", `-fsanitize=${sanitizer.flags}`];
      execFileSync("g++", [...flags, source, "-o", library], { stdio: "pipe" });
      const { status, stderr } = node(["-e", `process.dlopen({ exports: {} }, ${JSON.stringify(library)})`]);
      expect(stderr).toMatch(sanitizer.says);
      expect(status).not.toBe(0);
    });

    it(`in the rows of ${sanitizer.files.join(", ")}`, { timeout }, () => {
      const vitest = join(root, "node_modules/vitest/vitest.mjs");
      const files = sanitizer.files.map((file) => `test/cpu/${file}.test.ts`);
      const { status, stdout, stderr } = node([vitest, "run", ...files], {
        BAYESCNN_BF16: "pairs",
        DIFFERENCES: "no",
        NO_COLOR: "1",
        ...(sanitizer.ops && { OPS: sanitizer.ops }),
      });
      expect(stderr + stdout).not.toMatch(/Sanitizer|runtime error/);
      expect(status, stdout.slice(-2000)).toBe(0);
      tries("op rows and products under sanitizers", Number(/Tests\s+(\d+) passed/.exec(stdout)?.[1]));
    });

    it("in random programs", { timeout }, async () => {
      const count = 100;
      await batch(Number(process.env.FC_SEED ?? 1), count, { root: copy, prefix, env });
      tries("random programs under sanitizers", count);
    });

    it.each([...phases.map((phase) => `terminate ${phase}`), ...others])(
      "at the boundary: %s",
      { timeout },
      async (what) => {
        tries("boundary scenarios under sanitizers", await scenario(what, 3, { root: copy, prefix, env }));
      },
    );
  });
}
