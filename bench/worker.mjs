// The benchmark's side of a trial: a process that waits, stopped, until it is asked for a turn.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { contenders } from "./peers.mjs";

const START_MS = 120_000;

/**
 * @typedef {{ version: string, device?: string, flops?: number, traffic?: number, blas?: string }} About
 */

export class Worker {
  /** @type {About} */ about = { version: "" };
  #child;
  #lines;
  #errors = "";

  constructor(/** @type {{ file: string, args: string[], env: NodeJS.ProcessEnv }} */ { file, args, env }) {
    this.#child = spawn(file, args, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.on("error", (error) => {
      this.#errors += error.message;
    });
    this.#child.stdin.on("error", () => {}); // it died: the missing answer tells
    this.#child.stderr.on("data", (text) => {
      this.#errors += text;
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /**
   * @param {string} contender
   * @param {import("./workloads.mjs").Workload} workload
   * @param {string} variant
   * @returns {Promise<Worker>} ready, warmed up and stopped
   * @throws when the process ends before that: a peer that is not installed
   */
  static async start(contender, workload, variant) {
    const worker = new Worker(contenders[contender].command(workload, variant));
    const late = setTimeout(() => worker.end(), START_MS);
    worker.about = await worker.#answer();
    clearTimeout(late);
    worker.#child.kill("SIGSTOP"); // threads that spin for work must not disturb the next one's turn
    return worker;
  }

  get pid() {
    return this.#child.pid ?? 0;
  }

  /** Runs the workload for about `ms` milliseconds and returns the time of each run. */
  async turn(/** @type {number} */ ms) {
    this.#child.kill("SIGCONT");
    this.#child.stdin.write(`${JSON.stringify({ ms })}\n`);
    const { times } = await this.#answer();
    this.#child.kill("SIGSTOP");
    return /** @type {number[]} */ (times);
  }

  end() {
    this.#child.kill("SIGKILL");
  }

  async #answer() {
    const { value, done } = await this.#lines.next();
    if (!done) return JSON.parse(value);
    await new Promise((resolve) => setTimeout(resolve, 50)); // for the rest of what it has to say
    throw new Error(this.#errors.trim().split("\n").at(-1) || "the process ended without a word");
  }
}
