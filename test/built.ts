// dist/ for what cannot run TypeScript: a child process, a worker_thread.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");

/** Compiles dist/ where it is older than lib/. */
export function build(): void {
  const main = join(root, "dist/cli/main.js");
  const newest = (dir: string): number =>
    Math.max(...readdirSync(dir, { recursive: true }).map((f) => statSync(join(dir, String(f))).mtimeMs));
  if (existsSync(main) && statSync(main).mtimeMs >= newest(join(root, "lib"))) return;
  spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
    cwd: root,
  });
}
