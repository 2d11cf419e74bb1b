// Formats (or with --check, checks) every C++ and CUDA file with the pinned clang-format.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const files = ["native", "cuda"].filter(existsSync).flatMap((root) =>
  readdirSync(root, { recursive: true })
    .map((f) => join(root, f))
    .filter((f) => /\.(cpp|h|cu|cuh)$/.test(f)),
);
const tool = createRequire(import.meta.url).resolve("clang-format/index.js");
const args = process.argv.includes("--check") ? ["--dry-run", "--Werror"] : ["-i"];
const run = spawnSync(process.execPath, [tool, ...args, ...files], { stdio: "inherit" });
process.exit(run.status ?? 1);
