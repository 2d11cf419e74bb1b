// Trains and evaluates on images that are made when they are asked for, held in memory or streamed, and says what it took: the
// process whose memory stream.test.ts looks at. Uses dist/.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createModel, fit, makeDataset, makeSource } from "../../dist/index.js";

const [kind, countText, runDir] = process.argv.slice(2);
const count = Number(countText);
const shape = [64, 64, 3];
const size = 64 * 64 * 3;
const labels = Int32Array.from({ length: count }, (_, i) => i % 3);
const about = { name: "made", shape, labels, classes: 3 };
const read = (indices) => {
  const out = new Uint8Array(indices.length * size);
  for (const [at, i] of indices.entries())
    for (let k = 0; k < size; k++) out[at * size + k] = Math.imul(i * 31 + k, 2654435761) >>> 24;
  return out;
};
const open = (n) => {
  const set = { ...about, labels: labels.subarray(0, n) };
  if (kind === "streamed") return makeSource({ ...set, count: n, pixels: "u8", read });
  const images = new Uint8Array(n * size);
  for (let i = 0; i < n; i++) images.set(read(Int32Array.of(i)), i * size);
  return makeDataset({ ...set, images });
};
const [train, valid] = [await open(count), await open(count / 8)];
const model = createModel({ model: "lenet5", input: shape, classes: 3 });
await fit(model, { train, valid }, { epochs: 1, batchSize: 64, seed: 2, runDir, validationSamples: 1 });
const checkpoint = createHash("sha256").update(readFileSync(`${runDir}/checkpoint.safetensors`)).digest("hex");
const peak = Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
console.log(JSON.stringify({ checkpoint, peak, bytes: count * size }));
