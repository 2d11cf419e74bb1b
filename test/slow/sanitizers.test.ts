// The op rows, products of every form and steps that are changed a little under AddressSanitizer and UndefinedBehaviorSanitizer, in a copy with its own build.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";

const root = join(import.meta.dirname, "../..");
const tmp = mkdtempSync(join(tmpdir(), "bayescnn-sanitizer-"));
afterAll(() => rmSync(tmp, { recursive: true, force: true }));

// the sanitizers' own libraries have to come first in a process that does not know them
const runtime = (name: string) => {
  const found = spawnSync("g++", [`-print-file-name=${name}`], { encoding: "utf8" }).stdout?.trim() ?? "";
  return found.startsWith("/") && existsSync(found) ? found : undefined;
};
const libraries = process.platform === "linux" ? ["libasan.so", "libubsan.so"].map(runtime) : [undefined];
const has = libraries.every((l) => l !== undefined);

it.skipIf(!has)(
  "finds nothing in the op rows (skipped where g++ has no sanitizer runtimes)",
  { timeout: 1_200_000 },
  () => {
    const copy = join(tmp, "copy");
    mkdirSync(copy);
    for (const name of [
      "package.json",
      "binding.gyp",
      "native",
      "lib",
      "test",
      "scripts",
      "vitest.config.ts",
      "tsconfig.json",
    ])
      cpSync(join(root, name), join(copy, name), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const nodedir = join(process.execPath, "../..");
    const headers = existsSync(join(nodedir, "include/node/common.gypi")) ? { npm_config_nodedir: nodedir } : {};
    const gyp = join(root, "node_modules/node-gyp/bin/node-gyp.js");
    execFileSync(process.execPath, [gyp, "rebuild", "--silent", "--", "-Dsanitize=address,undefined"], {
      cwd: copy,
      env: { ...process.env, ...headers, JOBS: String(cpus().length) },
      stdio: "pipe",
    });
    const run = spawnSync(
      process.execPath,
      [
        join(root, "node_modules/vitest/vitest.mjs"),
        "run",
        ...["ops", "products", "plan-checks"].map((name) => `test/cpu/${name}.test.ts`),
      ],
      {
        cwd: copy,
        encoding: "utf8",
        env: {
          ...process.env,
          BAYESCNN_BF16: "pairs",
          LD_PRELOAD: libraries.join(":"),
          ASAN_OPTIONS: "detect_leaks=0:halt_on_error=1", // node itself keeps what it allocated
          UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1",
        },
      },
    );
    expect(run.stderr + run.stdout).not.toMatch(/AddressSanitizer|runtime error/);
    expect(run.status, run.stdout.slice(-2000)).toBe(0);
  },
);
