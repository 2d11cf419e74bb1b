// The worker's side of a trial: says what it is once it is ready, then answers each line on stdin with a turn's times.
import { createInterface } from "node:readline";

/** Exit code of a worker whose library is not installed; any other is a failure. */
export const NOT_INSTALLED = 77;
/** A run that takes longer than this is warm without a run before it. */
export const SLOW_MS = 1000;

const say = (/** @type {object} */ message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/**
 * @param {Omit<import("./worker.mjs").About, "once">} about
 * @param {() => unknown} once one run of the workload; awaited where it returns a promise
 */
export async function serve(about, once) {
  const timed = async () => {
    const start = performance.now();
    await once();
    return performance.now() - start;
  };
  let last = 0;
  for (let i = 0, spent = 0; i < 3 && spent < 2 * SLOW_MS; i++, spent += last) last = await timed();
  say({ ...about, once: last });
  for await (const line of createInterface({ input: process.stdin })) {
    const { ms } = JSON.parse(line);
    if (last < SLOW_MS) await once(); // the turn before was somebody else's: get the caches back
    const times = [];
    for (let spent = 0; spent < ms; spent += times[times.length - 1]) times.push(await timed());
    say({ times });
  }
}

/**
 * A library that may be missing; then the worker ends and says so.
 * @template T
 * @param {() => Promise<T>} load
 */
export async function optional(load) {
  try {
    return await load();
  } catch (error) {
    const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
    if (code !== "ERR_MODULE_NOT_FOUND" && code !== "MODULE_NOT_FOUND") throw error;
    process.stderr.write(`${message.split("\n")[0]}\n`);
    return process.exit(NOT_INSTALLED);
  }
}
