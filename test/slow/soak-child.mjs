// Trains, predicts, saves, opens and closes in a loop for so many seconds: the process that soak.test.ts watches. Uses dist/. Prints
// resident memory, what V8 is told of the addon's, open files and threads after every round, as JSON lines.
import { readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as b from "../../dist/index.js";

const [seconds] = process.argv.slice(2).map(Number);
const count = 64;
const data = b.makeDataset({
  images: Uint8Array.from({ length: count * 144 }, (_, i) => Math.imul(i, 2654435761) >>> 24),
  labels: Array.from({ length: count }, (_, n) => n % 4),
  shape: [12, 12, 1],
  classes: 4,
});
const file = join(tmpdir(), `bayescnn-soak-${process.pid}.safetensors`);
const entries = (folder) => (process.platform === "linux" ? readdirSync(folder).length : 0);
process.on("exit", () => rmSync(file, { force: true }));

const config = { model: "lenet5", input: [12, 12, 1], classes: 4 };
for (const end = performance.now() + 1000 * seconds; performance.now() < end; ) {
  const model = b.createModel({ ...config, seed: 1 });
  await b.fit(model, { train: data, valid: data }, { epochs: 1, batchSize: 16, validationSamples: 2 });
  const predictor = new b.Predictor(model, { samples: 4 });
  await Promise.all([predictor.predict(data), predictor.predict(data), b.evaluate(model, data, { samples: 2 })]);
  b.prune(model, { sparsity: 0.5 });
  b.exportOnnx(model);
  b.saveModel(model, file);
  model.close();
  await b.openRun(file).then((classify) => classify.close());
  // refusals have to give back what they took, too
  await b.fit(model, { train: data }, { epochs: 1 }).catch(() => {});
  globalThis.gc();
  const { rss } = process.memoryUsage();
  const handles = process.getActiveResourcesInfo().length;
  console.log(JSON.stringify({ rss, files: entries("/proc/self/fd"), threads: entries("/proc/self/task"), handles }));
}
