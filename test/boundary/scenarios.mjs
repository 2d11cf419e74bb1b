// What may happen at the boundary between JavaScript and the native code, as a process of its own, so that a crash is seen as
// a signal:  node scenarios.mjs NAME TRIES.  Uses dist/. Ends with the number of tries on standard output; what is not as it
// should be is thrown. Used by test/cpu/boundary.test.ts, test/slow/boundary.test.ts and under sanitizers.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { compile, ops, Store } from "../../dist/graph.js";

// most of a worker's life is loading what it needs
const light = !isMainThread && ["compile", "run", "runAsync"].includes(workerData.phase);
const b = light ? undefined : await import("../../dist/index.js");
const here = fileURLToPath(import.meta.url);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const random = (n) => ((Math.imul(n + 1, 2654435761) >>> 0) % 1000) / 1000;

const count = 48;
const data = b?.makeDataset({
  images: Uint8Array.from({ length: count * 36 }, (_, i) => Math.imul(i + 7, 2654435761) >>> 24),
  labels: Array.from({ length: count }, (_, i) => i % 3),
  shape: [6, 6, 1],
  classes: 3,
});
const make = () =>
  new b.Model({
    name: "tiny",
    input: [6, 6, 1],
    likelihood: b.categorical(3),
    seed: 5,
    build: (x) => b.bayesLinear(b.flatten(b.relu(b.bayesConv2d(x, 4, 3))), 3),
  });
const recipe = { epochs: 2, batchSize: 8, seed: 3, chunk: 2 };
const train = (model, more = {}) => b.fit(model, { train: data }, { ...recipe, ...more });
const asked = { samples: 4, seed: 9 };
const weights = (model) => [...model.store.slots.keys()].filter((n) => !n.startsWith("data/")).map((n) => model.store.get(n));
/** All that a model comes to: its weights after training, and what it then predicts. */
async function outcome() {
  const model = make();
  await train(model);
  const { logits } = await b.predict(model, data, asked);
  const all = [...weights(model), logits];
  model.close();
  return all;
}
const x = Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i));
/** A program of some dozens of parallel regions. */
const compiled = (store) =>
  compile({ store }, { x: [64, 64] }, ({ x }) => {
    let y = x;
    for (let i = 0; i < 12; i++) y = ops.tanh(ops.linear(y, x));
    return { y };
  });

// the native phases in which a worker may be terminated; none of them ends by itself
const phases = {
  async compile() {
    for (const store = new Store(); ; ) compiled(store).close();
  },
  async run() {
    for (const program = compiled(new Store()); ; ) program.run({ x });
  },
  async runAsync() {
    for (const program = compiled(new Store()); ; ) await program.runAsync({ x }, 50);
  },
  async predict() {
    for (const model = make(); ; ) await b.predict(model, data, asked);
  },
  async fit() {
    await train(make(), { epochs: 1e6, chunk: 1 });
  },
  async create() {
    for (;;) make().close();
  },
};

// other work of a worker, which ends with a result
const tasks = {
  outcome: async ({ runs }) => {
    const all = [];
    for (let i = 0; i < runs; i++) all.push(await outcome());
    return all;
  },
  runs: async ({ runs }) => {
    const store = new Store();
    const program = compiled(store);
    const all = [];
    for (let i = 0; i < runs; i++) all.push((await program.runAsync({ x }, 3)).y);
    store.close();
    return all;
  },
};

const start = (work) => new Worker(here, { workerData: work });
const ready = (worker) => new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject));

const asynchronous = ["runAsync", "predict", "fit"];

/** Workers, some at a time, that are terminated in a phase; some end themselves where they can. */
async function terminate(phase, tries) {
  const atOnce = 3;
  const itself = (i) => i % 8 === 7 && asynchronous.includes(phase);
  let done = 0;
  const line = async (first) => {
    for (let i = first; i < tries; i += atOnce, done++) {
      const worker = start({ phase, exit: itself(i) ? 20 * random(i) : undefined });
      const ended = new Promise((resolve) => worker.once("exit", resolve));
      worker.on("error", (error) => {
        throw error;
      });
      await ready(worker);
      if (!itself(i)) {
        await pause(20 * random(i));
        await worker.terminate();
      }
      await ended;
    }
  };
  await Promise.all(Array.from({ length: atOnce }, (_, i) => line(i)));
  assert.deepEqual(await outcome(), await outcome()); // the pool and this thread go on
  return done;
}

const scenarios = {
  ...Object.fromEntries(Object.keys(phases).map((phase) => [`terminate ${phase}`, (n) => terminate(phase, n)])),

  /** Predictions while fit trains: neither shows in a bit of the other's. */
  async "predict during fit"(tries) {
    const alone = await outcome();
    const still = make();
    const { logits } = await b.predict(still, data, asked);
    for (let i = 0; i < tries; i++) {
      const model = make();
      let over = false;
      const training = train(model).finally(() => (over = true));
      const others = Array.from({ length: 3 }, async () => {
        while (!over) {
          await b.predict(model, data, asked);
          assert.deepEqual((await b.predict(still, data, asked)).logits, logits);
        }
      });
      await Promise.all([training, ...others]);
      assert.deepEqual([...weights(model), (await b.predict(model, data, asked)).logits], alone);
      model.close();
    }
    still.close();
    return tries;
  },

  /** close() while a run is under way is refused, and the run goes on; in a turn it waits. */
  async "close during a run"(tries) {
    for (let i = 0; i < tries; i++) {
      const store = new Store();
      const program = compiled(store);
      const { y } = program.run({ x });
      const run = program.runAsync({ x }, 40);
      await pause(2 * random(i));
      if (store.busy) assert.throws(() => (i % 2 ? store.close() : program.close()), { code: "ERR_BAYES_BUSY" });
      const later = program.runAsync({ x }, 2).catch((error) => error.code);
      const closing = store.turn("closing", () => store.close());
      const never = program.runAsync({ x }, 2).catch((error) => error.code);
      assert.deepEqual((await run).y.slice(-y.length), y);
      assert.deepEqual((await later).y.slice(-y.length), y);
      await closing;
      assert.equal(await never, "ERR_BAYES_CLOSED");
      program.close();
    }
    return tries;
  },

  /** A model is closed while calls of its predictor wait: each is answered rightly or refused. */
  async "close while calls wait"(tries) {
    const still = make();
    const { logits } = await b.predict(still, data, asked);
    still.close();
    let refused = 0;
    for (let i = 0; i < tries; i++) {
      const model = make();
      const predictor = new b.Predictor(model, asked);
      const calls = Array.from({ length: 12 }, () => predictor.predict(data).catch((error) => error));
      if (i % 2) await pause(4 * random(i)); // else the first launch is under way, and all others wait behind the closing
      await model.store.turn("closing", () => model.close());
      for (const answer of await Promise.all(calls))
        if (answer instanceof Error) {
          assert.equal(answer.code, "ERR_BAYES_CLOSED", String(answer));
          refused++;
        } else assert.deepEqual(answer.logits, logits);
    }
    if (tries > 4) assert.ok(refused > 0, "no call was waiting");
    return tries;
  },

  /** Several worker_threads with models of their own share the pool: the bits of each are those of one alone. */
  async "workers share the pool"(tries) {
    b.setThreads(3);
    const alone = await outcome();
    const workers = Array.from({ length: 3 }, () => start({ task: "outcome", runs: Math.ceil(tries / 3) }));
    const answers = await Promise.all(workers.map(ready));
    const mine = await outcome();
    for (const answer of [...answers.flat(), mine]) assert.deepEqual(answer, alone);
    return answers.flat().length + 1;
  },

  /** The number of threads changes while other workers run: no bit does. */
  async "threads change during runs"(tries) {
    const store = new Store();
    const { y } = compiled(store).run({ x });
    store.close();
    const workers = Array.from({ length: 2 }, () => start({ task: "runs", runs: tries }));
    const answers = Promise.all(workers.map(ready));
    let over = false;
    for (answers.finally(() => (over = true)); !over; await pause(0)) b.setThreads(1 + Math.floor(4 * Math.random()));
    for (const run of (await answers).flat())
      for (let s = 0; s < 3; s++) assert.deepEqual(run.subarray(s * y.length, (s + 1) * y.length), y);
    return 2 * tries;
  },

  /** The process ends during a run off the event loop: with its own status, without a signal. */
  async "exit during a run"(tries) {
    for (let i = 0; i < tries; i++) {
      const { status, signal, stderr } = spawnSync(process.execPath, [here, i % 2 ? "exit" : "throw", String(i)], {
        encoding: "utf8",
      });
      assert.deepEqual({ status, signal }, { status: i % 2 ? 3 : 1, signal: null }, stderr);
      if (i % 2) assert.equal(stderr, "");
    }
    return tries;
  },
  async exit(n) {
    const endless = compile({ store: new Store() }, { x: [64, 64] }, ({ x }) => ({ y: ops.sum(ops.exp(ops.linear(x, x))) }));
    void endless.runAsync({ x }, 1e6);
    await pause(10 * random(n));
    process.exit(3);
  },
  async die() {
    process.kill(process.pid, "SIGSEGV");
    await pause(1000);
  },
  async throw(n) {
    void train(make(), { epochs: 1e6, chunk: 1 });
    await pause(30 * random(n));
    throw new Error("on purpose");
  },
};

if (isMainThread) {
  const [name, tries] = process.argv.slice(2);
  console.log(await scenarios[name](Number(tries)));
} else if (workerData.phase) {
  parentPort.postMessage("ready");
  if (workerData.exit !== undefined) setTimeout(() => process.exit(0), workerData.exit);
  await phases[workerData.phase]();
} else parentPort.postMessage(await tasks[workerData.task](workerData));
