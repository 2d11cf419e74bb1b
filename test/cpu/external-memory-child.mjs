// What external-memory.test.ts asks, under --expose-gc: by how many bytes the memory moves that V8 has been told of.
import { setImmediate } from "node:timers/promises";

const { compile, openDevice, ops, Store } = await import(new URL("../../dist/graph.js", import.meta.url).href);
const MB = 1 << 20;
const device = openDevice("cpu");

/** The external memory once everything that nobody holds is gone: finalizers run after the collection. */
async function settled() {
  for (let i = 0; i < 5; i++) {
    globalThis.gc();
    await setImmediate();
  }
  return device.addon.externalMemory();
}

function build() {
  const store = new Store(device);
  store.define("a", [8 * MB]);
  store.define("b", [4 * MB], { dtype: "u8" });
  const program = compile({ store }, { x: [MB, 4] }, ({ x }) => ({ y: ops.sum(ops.mul(ops.exp(x), ops.sigmoid(x))) }));
  const { arenaBytes, workspaceBytes } = program.report();
  return { store, program, plan: arenaBytes + workspaceBytes };
}

const said = {};
let base = await settled();
const since = async () => (await settled()) - base;
{
  const { store, program, plan } = build();
  said.plan = plan;
  said.made = await since();
  store.delete("b");
  said.deleted = await since();
  program.close();
  said.planClosed = await since();
  store.close();
  said.closed = await since();
}
{
  const { store, program } = build();
  store.close(); // the program keeps the store's memory until it is closed too
  said.storeFirst = await since();
  program.close();
  said.bothClosed = await since();
}
build(); // and nobody keeps it
said.dropped = await since();

// dropped in a loop: V8 collects them by itself, or this would need 4 GB
base = await settled();
let most = 0;
for (let i = 0; i < 60; i++) {
  new Store(device).define("w", [16 * MB]);
  most = Math.max(most, device.addon.externalMemory() - base);
  await setImmediate();
}
said.loop = most;
said.afterLoop = await since();
process.stdout.write(JSON.stringify(said));
