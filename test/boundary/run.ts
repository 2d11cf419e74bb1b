// Scenarios of scenarios.mjs, each in a process of its own.
import { spawn } from "node:child_process";
import { join } from "node:path";

/** The native phases in which a worker may be terminated. */
export const phases = ["compile", "run", "runAsync", "predict", "fit", "create"];
/** The others. */
export const others = [
  "predict during fit",
  "close during a run",
  "close while calls wait",
  "workers share the pool",
  "threads change during runs",
  "exit during a run",
];

/** A child of another checkout, or under a sanitizer. */
export interface Elsewhere {
  /** The checkout with dist/ and the addon; default: this one. */
  readonly root?: string;
  /** What starts node. */
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/**
 * Tries a scenario; how often. Rejects when the process ends by a signal, with an error, or with a sanitizer's report.
 */
export function scenario(
  name: string,
  tries: number,
  { root = join(import.meta.dirname, "../.."), prefix = [], env = {} }: Elsewhere = {},
): Promise<number> {
  const file = join(root, "test/boundary/scenarios.mjs");
  const [start, ...args] = [...prefix, process.execPath, file, name, String(tries)];
  const child = spawn(start, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const text = { out: "", err: "" };
  child.stdout.on("data", (part) => (text.out += part));
  child.stderr.on("data", (part) => (text.err += part));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      const report = /Sanitizer|runtime error/.test(text.err);
      if (status === 0 && !report) return resolve(Number(text.out));
      const command = `node test/boundary/scenarios.mjs "${name}" ${tries}`;
      reject(new Error(`${command} ended with ${signal ?? status}:\n${text.err.slice(0, 8000)}`));
    });
  });
}
