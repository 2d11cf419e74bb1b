// The benchmark's C++ programs, compiled with g++ when they are first needed; the binaries go when the process ends.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** @type {string | undefined} */
let folder;
/** @type {Map<string, { binary: string, problem: string | undefined }>} */
const done = new Map();

/**
 * @param {string} source a file of this folder
 * @param {readonly string[]} flags
 * @returns {{ binary: string, problem: string | undefined }} problem: why there is no binary, in one line
 */
export function compiled(source, flags) {
  const before = done.get(source);
  if (before) return before;
  if (!folder) {
    const made = mkdtempSync(join(tmpdir(), "bayescnn-bench-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  const binary = join(folder, basename(source, ".cpp"));
  const from = join(import.meta.dirname, source);
  const built = spawnSync("g++", ["-std=c++17", from, "-o", binary, ...flags], { encoding: "utf8" });
  const errors = () => built.stderr.split("\n").find((line) => /error|cannot find/.test(line)) ?? "g++ failed";
  const problem = built.error ? "there is no g++" : built.status === 0 ? undefined : errors();
  const result = { binary, problem };
  done.set(source, result);
  return result;
}
