// Writes the packs that cuda/check/run.sh replays on a machine with a GPU, to build-cuda: npm run cuda:pack
import { spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";

const vitest = join(createRequire(import.meta.url).resolve("vitest/package.json"), "../vitest.mjs");
const folder = resolve(process.argv[2] ?? "build-cuda");
const { status } = spawnSync(process.execPath, [vitest, "run", "test/cuda/check.test.ts"], {
  stdio: "inherit",
  env: { ...process.env, PACKS: folder },
});
process.exit(status ?? 1);
