// Why residual nets have ReLU: validation of a Bayesian ResNet-20 with softplus and with ReLU, by batch norm's running statistics
// (as everybody predicts) and by those of the validation images themselves; and with filter response norm, which has none.
//   node bench/batch-norm.mjs digits 1 2 3          640 of the embedded digits, halved to 14x14, 6 epochs: a minute
//   node bench/batch-norm.mjs cifar-10-half 1 2     5,000 images, halved to 16x16, 6 epochs (BAYESCNN_DATA says where): ten minutes on one core
//   node bench/batch-norm.mjs cifar-10 1            5,000 images of 32x32, 2 epochs at the full learning rate: five minutes
import { compile } from "../dist/graph.js";
import { createModel, embeddedMnist, evaluate, fit, loadData, makeDataset, subset } from "../dist/index.js";

/** @typedef {import("../dist/index.js").ClassDataset} Data */
/** @typedef {import("../dist/index.js").Model<import("../dist/index.js").Categorical>} Model */

const [name = "digits", ...seeds] = process.argv.slice(2);
const trials = {
  digits: { half: true, train: 640, valid: 200, batchSize: 32, epochs: 6, samples: 32 },
  "cifar-10-half": { half: true, train: 5000, valid: 1000, batchSize: 128, epochs: 6, samples: 32 },
  "cifar-10": { half: false, train: 5000, valid: 400, batchSize: 128, epochs: 2, samples: 4 },
};
if (!Object.hasOwn(trials, name)) throw new Error(`expected ${Object.keys(trials).join(", ")}, received ${name}`);
const trial = trials[/** @type {keyof typeof trials} */ (name)];
const { train, test } = name === "digits" ? embeddedMnist() : await loadData("cifar-10");

/** The first images of a set, each side halved. @param {Data} data @param {number} count */
function halved(data, count) {
  const [height, width, channels] = data.shape;
  const shape = /** @type {[number, number, number]} */ ([height / 2, width / 2, channels]);
  const row = shape[1] * channels;
  const images = Uint8Array.from({ length: count * shape[0] * row }, (_, i) => {
    const at =
      Math.floor(i / row) * 2 * width * channels + Math.floor((i % row) / channels) * 2 * channels + (i % channels);
    const right = at + channels;
    const below = width * channels;
    return (data.images[at] + data.images[right] + data.images[at + below] + data.images[right + below] + 2) >> 2;
  });
  return makeDataset({ name: data.name, images, labels: data.targets.slice(0, count), shape, classes: data.classes });
}

/** NLL of one sample by the statistics of these images, 200 at a time; the running ones stay. @param {Model} model @param {Data} data */
function byOwnStatistics(model, data) {
  const batch = 200;
  const size = data.shape[0] * data.shape[1] * data.shape[2];
  const { scale, shift } = /** @type {{ scale: readonly number[], shift: readonly number[] }} */ (model.preprocess);
  const kept = [...model.store.slots.keys()]
    .filter((key) => /norm\/(mean|variance)$/.test(key))
    .map((key) => /** @type {const} */ ([key, model.store.get(key).slice()]));
  const i32 = (/** @type {number[]} */ shape) => ({ shape, dtype: /** @type {const} */ ("i32") });
  const specs = { x: [batch, ...data.shape], rng: i32([4]), rows: i32([batch]) };
  const program = compile({ store: model.store }, specs, ({ x, rng, rows }) => ({
    y: model.apply(x, { mode: "sample", training: true, noise: { rng, rows } }).output,
  }));
  const rows = Int32Array.from({ length: batch }, (_, i) => i);
  let nll = 0;
  for (let first = 0; first < data.count; first += batch) {
    const pixels = Float32Array.from(
      data.images.subarray(first * size, (first + batch) * size),
      (p, i) => p * scale[i % scale.length] + shift[i % shift.length],
    );
    const { y } = program.run({ x: pixels, rng: Int32Array.of(1, 2, first, 0), rows });
    for (let i = 0; i < batch; i++) {
      const z = Array.from(y.subarray(10 * i, 10 * i + 10));
      nll += Math.log(z.reduce((sum, v) => sum + Math.exp(v), 0)) - z[data.targets[first + i]];
    }
  }
  program.close();
  for (const [key, values] of kept) model.store.set(key, values);
  return nll / data.count;
}

/** @param {Data} data @param {number} count */
const first = (data, count) =>
  trial.half
    ? halved(data, count)
    : subset(
        data,
        Array.from({ length: count }, (_, i) => i),
      );
const data = { train: first(train, trial.train), valid: first(test, trial.valid) };
console.log(
  "| activation, norm | seed | NLL after epoch 2 | by the images' own statistics | highest NLL | final NLL | accuracy |",
);
console.log("|---|---|---|---|---|---|---|");
const variants = /** @type {const} */ ([
  ["softplus", "batch"],
  ["relu", "batch"],
  ["relu", "filter-response"],
]);
for (const [activation, norm] of variants)
  for (const seed of seeds.length ? seeds.map(Number) : [1, 2, 3]) {
    const model = createModel({ model: "resnet20", input: data.train.shape, classes: 10, activation, norm, seed });
    let own = 0;
    const { history } = await fit(model, data, {
      ...{ epochs: trial.epochs, batchSize: trial.batchSize, seed },
      ...(trial.half ? {} : { learningRate: 0.002 }), // as the default begins
      callbacks: {
        onEpoch: ({ epoch }) => {
          if (epoch === 1) own = byOwnStatistics(model, data.valid);
        },
      },
    });
    const { metrics } = await evaluate(model, data.valid, { samples: trial.samples });
    const nlls = history.map(({ valid }) => Number(valid?.nll));
    const figures = [nlls[1], own, Math.max(...nlls), metrics.nll].map((v) => v.toFixed(2));
    console.log(
      `| ${[`${activation}, ${norm}`, seed, ...figures, `${(100 * metrics.accuracy).toFixed(1)} %`].join(" | ")} |`,
    );
    model.close();
  }
