// The benchmark's side of a trial: a process that waits, stopped, until it is asked for a turn.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createInterface } from "node:readline";
import { contenders, NotInstalled } from "./peers.mjs";
import { NOT_INSTALLED } from "./serve.mjs";

const LIMIT_MS = 300_000; // of a start or a turn
// a stopped process would outlive a benchmark that is killed
const SETPRIV = "/usr/bin/setpriv";
const guard = existsSync(SETPRIV) ? [SETPRIV, "--pdeathsig", "KILL", "--"] : [];
const NOT_FOUND = 127; // setpriv found no such program

/**
 * @typedef {{ code: number | null, signal: NodeJS.Signals | null }} Ending of a process
 *
 * What a worker says of itself. `once`: milliseconds of a warm run; ours also counts its floating-point operations, the
 * bytes of its operands, and those of its arena (activations and gradients) and of its kernels' workspace.
 * @typedef {{ version: string, once?: number, device?: string, flops?: number, traffic?: number, memory?: number,
 *   workspace?: number }} About
 */

export class Worker {
  /** @type {About} */ about = { version: "" };
  #child;
  #errors = "";
  /** @type {object[]} */ #heard = [];
  #wake = () => {};
  /** @type {Ending | undefined} */ #end;

  constructor(/** @type {import("./peers.mjs").Command} */ { file, args, env }) {
    const [program, ...rest] = [...guard, file, ...args];
    this.#child = spawn(program, rest, { env, stdio: ["pipe", "pipe", "pipe"] });
    this.#child.on("error", (error) => {
      this.#errors += error.message;
      const missing = /** @type {NodeJS.ErrnoException} */ (error).code === "ENOENT";
      this.#ended({ code: missing ? NOT_FOUND : 1, signal: null });
    });
    this.#child.on("close", (code, signal) => this.#ended({ code, signal }));
    this.#child.stdin.on("error", () => {}); // it died: how it ended tells
    this.#child.stderr.on("data", (text) => {
      this.#errors = (this.#errors + text).slice(-10_000);
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      if (!line.startsWith("{")) return; // a library's chatter
      this.#heard.push(JSON.parse(line));
      this.#wake();
    });
  }

  /**
   * @param {string} contender
   * @param {import("./workloads.mjs").Workload} workload
   * @param {string} variant
   * @param {(worker: Worker) => void} born called with the process as soon as there is one
   * @returns {Promise<Worker>} ready, warmed up and stopped
   * @throws NotInstalled when the peer is not there, or an Error when it ends before it is ready
   */
  static async start(contender, workload, variant, born) {
    const worker = new Worker(contenders[contender].command(workload, variant));
    born(worker);
    worker.about = /** @type {About} */ (await worker.#answer());
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
    const { times } = /** @type {{ times: number[] }} */ (await this.#answer());
    this.#child.kill("SIGSTOP");
    return times;
  }

  end() {
    this.#child.kill("SIGKILL");
  }

  #ended(/** @type {Ending} */ how) {
    this.#end ??= how;
    this.#wake();
  }

  async #answer() {
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      this.end();
    }, LIMIT_MS);
    // the end may come before what it said last has been read, so what it said goes first
    while (!this.#heard.length && !this.#end)
      await new Promise((resolve) => {
        this.#wake = () => resolve(undefined);
      });
    clearTimeout(limit);
    const answer = this.#heard.shift();
    if (answer) return answer;
    const { code, signal } = /** @type {Ending} */ (this.#end);
    const last = this.#errors.trim().split("\n").at(-1);
    if (code === NOT_INSTALLED || code === NOT_FOUND) throw new NotInstalled(last || "not found");
    const how = late ? `no answer in ${LIMIT_MS / 1000} s` : signal ? `killed by ${signal}` : `exit code ${code}`;
    throw new Error(last ? `${how}: ${last}` : how);
  }
}
