// What a worker_thread of addon.test.ts does: it has the addon alone, and the flat program as data.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { parentPort, workerData } from "node:worker_threads";

const addon = createRequire(import.meta.url)("node-gyp-build")(fileURLToPath(new URL("../..", import.meta.url)));

/** Runs a program of addon.test.ts, chunk by chunk; everything it has computed. */
async function train({ program, buffers, feeds, steps, chunks }) {
  const store = new addon.Store();
  for (const contents of buffers) store.write(store.alloc(contents.byteLength), 0, contents);
  const plan = new addon.Plan(store, program);
  const results = [];
  for (let i = 0; i < chunks; i++) {
    const out = program.resultBytes.map((bytes) => new Float32Array((bytes / 4) * steps));
    await plan.runAsync(steps, feeds, out);
    results.push(...out);
  }
  for (const [index, contents] of buffers.entries()) {
    const values = new Float32Array(contents.byteLength / 4);
    store.read(index, 0, values);
    results.push(values);
  }
  plan.close();
  store.close();
  return results;
}

/** Starts a run that nobody lives to see the end of. */
export function endless(program) {
  const store = new addon.Store();
  store.alloc(4);
  store.alloc(4);
  const plan = new addon.Plan(store, program);
  void plan.runAsync(2 ** 31 - 1, [], []);
}

if (workerData?.task === "train") parentPort.postMessage(await train(workerData));
if (workerData?.task === "wide") {
  addon.setThreads(4); // threads of the pool start with the first run that has work for them
  const n = 1 << 20;
  const at = (space) => ({ dtype: 0, space, index: 0, offset: 0, shape: [n] });
  const exp = { op: "exp", inputs: [at(2)], outputs: [at(3)], attrs: {}, commits: false };
  const program = { steps: [exp], feedBytes: [4 * n], resultBytes: [4 * n], arenaBytes: 0 };
  new addon.Plan(new addon.Store(), program).run(1, [{ data: new Float32Array(n), stride: 0 }], [new Float32Array(n)]);
  parentPort.postMessage("ran");
}
if (workerData?.task === "threads") parentPort.postMessage(addon.threads());
if (workerData?.task === "endless") {
  endless(workerData.program);
  parentPort.postMessage("running");
  setInterval(() => {}, 1000); // until it is terminated
}
