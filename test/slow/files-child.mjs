// What files.test.ts runs in processes of their own: files-child.mjs TASK FOLDER [MORE...]. Uses dist/.
import { existsSync, writeSync } from "node:fs";
import { join } from "node:path";
import { isMainThread, Worker } from "node:worker_threads";
import { RunLock } from "../../dist/train/lock.js";
import { readSafetensors, writeSafetensors } from "../../dist/checkpoints/safetensors.js";
import { writeFileAtomic } from "../../dist/util/atomic.js";

const [task, folder, ...more] = process.argv.slice(2);
const say = (value) => writeSync(1, `${JSON.stringify(value)}\n`);
const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const take = (path) => {
  try {
    return RunLock.take(path);
  } catch (error) {
    if (error.code !== "ERR_BAYES_BUSY") throw error;
    return error.message;
  }
};

const tasks = {
  /** Takes a lock and never gives it back. */
  hold() {
    const got = typeof take(folder);
    if (isMainThread) say(got);
    setInterval(() => {}, 1000);
  },
  /** Takes the locks of many folders, each at its moment, and keeps them: which it got. */
  race() {
    const [rounds, start] = more.map(Number);
    const won = [];
    for (let round = 0; round < rounds; round++) {
      while (Date.now() < start + 40 * round);
      if (typeof take(join(folder, String(round))) === "object") won.push(round);
    }
    say(won);
    sleep(2000);
  },
  /** A worker and the main thread want one folder: what each was told, and what once the worker is terminated. */
  async worker() {
    const worker = new Worker(new URL(import.meta.url), { argv: ["hold", folder] });
    while (!existsSync(join(folder, ".lock"))) await new Promise((wake) => setTimeout(wake, 10));
    const second = take(folder);
    await worker.terminate();
    say([second, typeof take(folder)]);
  },
  /** Writes a file slowly. */
  write() {
    function* pieces() {
      for (;;) {
        yield new Uint8Array(1000);
        say("piece");
        sleep(20);
      }
    }
    writeFileAtomic(join(folder, more[0]), pieces());
  },
  /** A file of more than 2 GiB, there and back. */
  large() {
    const path = join(folder, "large.safetensors");
    const count = 2 ** 29 + 16;
    const data = new Float32Array(count);
    data[count - 1] = 3;
    writeSafetensors(path, new Map([["w", { dtype: "F32", shape: [count], data }]]));
    const { shape, data: read } = readSafetensors(path).tensors.get("w");
    say([shape, read.at(-1), read.at(0)]);
  },
};
await tasks[task]();
