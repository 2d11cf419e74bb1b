// dist/ for what cannot run TypeScript: a child process, a worker_thread.
import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Compiles dist/ where it is not what lib/ makes. */
export function build(): void {
  execFileSync(process.execPath, [join(import.meta.dirname, "../scripts/build-ts.mjs")], { stdio: "pipe" });
}
