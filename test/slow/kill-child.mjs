// Trains a small net in the given run folder, resuming what is there: the process that kill.test.ts kills. Uses dist/.
import { makeDataset } from "../../dist/data/dataset.js";
import { createModel } from "../../dist/models/create.js";
import { fit } from "../../dist/train/fit.js";

const [runDir] = process.argv.slice(2);
const count = 300;
const images = new Uint8Array(count * 28 * 28);
const labels = Int32Array.from({ length: count }, (_, n) => n % 10);
for (let i = 0; i < images.length; i++) images[i] = (i * 2654435761 + labels[Math.floor(i / 784)] * (i % 28) * 9) >>> 24;
const train = makeDataset({ images, labels, shape: [28, 28, 1], classes: 10 });
const model = createModel({ model: "lenet5", input: [28, 28, 1], classes: 10 });
await fit(
  model,
  { train, valid: train },
  {
    epochs: 14,
    batchSize: 32,
    seed: 5,
    learningRate: 0.003,
    augment: { shift: 2, flip: true },
    evaluate: async (m) => ({ nll: m.store.get("fc3/bias/mu").reduce((a, b) => a + Math.abs(b), 0) }),
    runDir,
    resume: true,
    checkpoint: { epochs: 1, steps: 3 },
    callbacks: { onStep: () => process.stdout.write(".") },
  },
);
model.close();
