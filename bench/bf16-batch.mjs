// How far a prediction depends on the images beside it: one image alone and among 70, in fp32 and in bf16.
//   node bench/bf16-batch.mjs
import { createModel, predict } from "../dist/index.js";

const SAMPLES = 3;
const COUNT = 70;
for (const name of ["lenet5", "alexnet", "3conv3fc", "resnet20"]) {
  const channels = name === "lenet5" ? 1 : 3;
  const shape = /** @type {[number, number, number]} */ ([32, 32, channels]);
  const preprocess = { scale: Array(channels).fill(1 / 64), shift: Array(channels).fill(-2) };
  const model = createModel({ model: name, input: shape, classes: 10, seed: 1, preprocess });
  let state = 1;
  const images = new Uint8Array(COUNT * 1024 * channels).map(() => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return (state >> 16) & 255;
  });
  for (const precision of /** @type {const} */ (["fp32", "bf16"])) {
    const among = await predict(model, { images, count: COUNT, shape }, { samples: SAMPLES, precision });
    const first = { images: images.subarray(0, 1024 * channels), count: 1, shape };
    const alone = await predict(model, first, { samples: SAMPLES, precision });
    const most = { logits: 0, size: 0, probability: 0 };
    for (let s = 0; s < SAMPLES; s++)
      for (let c = 0; c < 10; c++) {
        const [i, j] = [s * COUNT * 10 + c, s * 10 + c];
        most.logits = Math.max(most.logits, Math.abs(among.logits[i] - alone.logits[j]));
        most.size = Math.max(most.size, Math.abs(among.logits[i]));
        const [p, q] = [among.sampleProbabilities[i], alone.sampleProbabilities[j]];
        most.probability = Math.max(most.probability, Math.abs(p - q));
      }
    console.log(
      `${name} ${precision} on ${model.store.device.name}: logits ${most.logits.toExponential(1)} of ${most.size.toFixed(1)}, probabilities ${most.probability.toExponential(1)}`,
    );
  }
  model.close();
}
