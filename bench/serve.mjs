// The worker's side of a trial: says what it is once it is ready, then answers each line on stdin with a turn's times.
import { createInterface } from "node:readline";

const say = (/** @type {object} */ message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/**
 * @param {{ version: string, device?: string, flops?: number, traffic?: number }} about
 * @param {() => unknown} once one run of the workload; awaited where it returns a promise
 */
export async function serve(about, once) {
  for (let i = 0; i < 3; i++) await once();
  say(about);
  for await (const line of createInterface({ input: process.stdin })) {
    const { ms } = JSON.parse(line);
    await once(); // the turn before was somebody else's: get the caches back
    const times = [];
    for (let spent = 0; spent < ms; spent += times[times.length - 1]) {
      const start = performance.now();
      await once();
      times.push(performance.now() - start);
    }
    say({ times });
  }
}
