// Numbers from pictures, each with its own spread: where is the blob? The network gives a mean and a standard deviation for each
// coordinate. Half of the pictures are noisy, so their answers should be, too.
//
//     node examples/regression/main.mjs        QUICK=1: fewer pictures
import { createModel, evaluate, fit, gaussian, makeDataset } from "bayescnn";

const quick = process.env.QUICK === "1";
const SIDE = 28;

/** Pictures of a blob somewhere, in noise that is weak in the first half of them and strong in the second. */
function blobs(count, seed) {
  const normal = normals(seed);
  const images = new Float32Array(count * SIDE * SIDE);
  const targets = [];
  for (let n = 0; n < count; n++) {
    const [x, y] = [0, 0].map(() => Math.min(22, Math.max(6, 14 + 4 * normal())));
    const noise = n < count / 2 ? 0.05 : 0.4;
    for (let row = 0; row < SIDE; row++)
      for (let column = 0; column < SIDE; column++) {
        const blob = Math.exp(-((column - x) ** 2 + (row - y) ** 2) / 18);
        images[n * SIDE * SIDE + row * SIDE + column] = blob + noise * normal();
      }
    targets.push(x, y);
  }
  return makeDataset({ name: "blobs", images, shape: [SIDE, SIDE, 1], targets, targetNames: ["x", "y"] });
}

const train = blobs(quick ? 400 : 1500, 1);
const test = blobs(quick ? 100 : 500, 2);
const model = createModel({
  model: "lenet5",
  input: [SIDE, SIDE, 1],
  activation: "relu", // softplus, the default of Bayesian nets, begins far off where the outputs are numbers
  likelihood: gaussian({ noise: "predicted", names: ["x", "y"] }),
});
await fit(model, { train }, { epochs: quick ? 8 : 15, batchSize: 32, learningRate: 0.006, clipNorm: 5 });

const { metrics, prediction, targets } = await evaluate(model, test);
console.log(`RMSE ${metrics.rmse.toFixed(2)} pixels, NLL ${metrics.nll.toFixed(2)} nats a picture`);
console.log(`its central 90 % intervals hold ${(100 * metrics.coverage90).toFixed(0)} % of the coordinates`);
const half = test.count / 2;
for (const [name, from] of Object.entries({ clear: 0, noisy: half })) {
  let [error, spread, aleatoric] = [0, 0, 0];
  for (let i = 2 * from; i < 2 * (from + half); i++) {
    error += (prediction.mean[i] - targets[i]) ** 2 / (2 * half);
    spread += prediction.sigma[i] ** 2 / (2 * half);
    aleatoric += prediction.aleatoric[i] / (2 * half);
  }
  const share = `${((100 * aleatoric) / spread).toFixed(0)} % of its variance is noise of the pictures`;
  console.log(`${name}: off by ${Math.sqrt(error).toFixed(2)}, said ± ${Math.sqrt(spread).toFixed(2)} (${share})`);
}
model.close();

/** Standard normal numbers that are the same in each run (Box-Muller on mulberry32). */
function normals(seed) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
}
