// Predictions under load: node --expose-gc bench/load.mjs [model] [samples], by default lenet5 and 32. Needs `npm run build`.
// What a call costs beyond its program, what concurrent callers gain, what training and predicting cost each other, and
// whether memory stays. Every figure is a median of runs in turns within this process.
import { createModel, fit, makeDataset, Predictor, predict } from "../dist/index.js";
import { LaunchPrograms } from "../dist/predict/programs.js";

const name = process.argv[2] ?? "lenet5";
const channels = name === "lenet5" ? 1 : 3;
const shape = /** @type {[number, number, number]} */ ([32, 32, channels]);
const size = 32 * 32 * channels;
const SAMPLES = Number(process.argv[3] ?? 32);
const config = { model: name, input: shape, classes: 10, seed: 2 };

const median = (/** @type {number[]} */ a) => [...a].sort((x, y) => x - y)[a.length >> 1];
const quantile = (/** @type {number[]} */ a, /** @type {number} */ q) =>
  [...a].sort((x, y) => x - y)[Math.min(a.length - 1, Math.floor(q * a.length))];
const timed = async (/** @type {() => unknown} */ work) => {
  const start = performance.now();
  await work();
  return performance.now() - start;
};
let state = 1;
const pixels = (/** @type {number} */ count) =>
  Uint8Array.from({ length: count * size }, () => (state = (state * 48271) % 2147483647) & 255);
const some = (/** @type {number} */ count) => ({ images: pixels(count), count, shape });
const ms = (/** @type {number} */ x) => `${x.toFixed(3)} ms`;

const model = createModel(config);
const predictor = new Predictor(model, { samples: SAMPLES });
await predictor.prepare();

// 1. one image: the program alone, and the whole call
const kind = { mode: "sample", samples: SAMPLES, precision: "fp32", pixels: { scale: Array(channels).fill(1), shift: Array(channels).fill(0) } };
const program = (/** @type {number} */ batch) => LaunchPrograms.of(model).get(/** @type {never} */ (kind), batch, "u8").program;
const values = (/** @type {number} */ batch) => ({
  images: pixels(batch),
  rows: Int32Array.from({ length: batch }, (_, i) => i),
  rng: Int32Array.of(0, 0, -1, 0),
});
const [p1, v1, one] = [program(1), values(1), some(1)];
const rounds = name === "lenet5" ? 1000 : 60;
const [bare, async, whole] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
for (let i = 0; i < rounds; i++) {
  bare.push(await timed(() => void p1.run(v1)));
  async.push(await timed(() => p1.runAsync(v1)));
  whole.push(await timed(() => predictor.predict(one)));
}
console.log(`one image: program.run ${ms(median(bare))}, runAsync ${ms(median(async))}, predict ${ms(median(whole))}`);
console.log(`  predict / program.run ${(median(whole) / median(bare)).toFixed(2)} (99 %: ${ms(quantile(whole, 0.99))})`);

// 2. callers one after another, and at a time
for (const callers of [8, 64]) {
  const [turns, together] = [/** @type {number[]} */ ([]), /** @type {number[]} */ ([])];
  const [alone, launch] = [/** @type {number[]} */ ([]), program(8)];
  const v8 = values(8);
  for (let i = 0; i < rounds / 10; i++) {
    turns.push(
      await timed(async () => {
        for (let k = 0; k < callers; k++) await predictor.predict(one);
      }),
    );
    together.push(await timed(() => Promise.all(Array.from({ length: callers }, () => predictor.predict(one)))));
    alone.push((await timed(() => void launch.run(v8))) * (callers / 8));
  }
  const [a, b] = [median(turns), median(together)];
  console.log(
    `${callers} callers: in turns ${ms(a)}, at a time ${ms(b)}: ${(a / b).toFixed(2)} times the throughput ` +
      `(programs alone, of 1 and of 8 images: ${((callers * median(bare)) / median(alone)).toFixed(2)})`,
  );
}

// 3. while fit runs: both are what each is alone
const train = makeDataset({
  name: "noise",
  images: pixels(2048),
  labels: Array.from({ length: 2048 }, (_, i) => i % 10),
  shape,
  classes: 10,
});
const options = { epochs: 3, batchSize: 128, seed: 5, learningRate: 0.001 };
const contents = (/** @type {import("../dist/index.js").Model} */ m) =>
  m.parameters.map((slot) => Buffer.from(m.store.get(slot.name).buffer).toString("base64")).join();
const quiet = createModel(config);
const spent = await timed(() => fit(quiet, { train }, options));
for (const rate of [0.001, 0]) {
  const busy = createModel(config);
  const asked = Array.from({ length: 64 }, (_, i) => some(1 + (i % 5)));
  const expected = [];
  for (const a of asked) expected.push((await predict(busy, a, { samples: SAMPLES })).logits);
  const latencies = /** @type {number[]} */ ([]);
  let [answered, same] = [0, 0];
  const busySpent = await timed(async () => {
    let going = true;
    const training = fit(busy, { train }, { ...options, learningRate: rate }).finally(() => (going = false));
    await Promise.all(
      asked.map(async (a, i) => {
        while (going) {
          latencies.push(
            await timed(async () => {
              const { logits } = await predict(busy, a, { samples: SAMPLES });
              answered++;
              if (Buffer.compare(Buffer.from(logits.buffer), Buffer.from(expected[i].buffer)) === 0) same++;
            }),
          );
        }
      }),
    );
    await training;
  });
  console.log(
    `64 callers while fit runs at a rate of ${rate}: ${answered} answers, each after ${ms(median(latencies))} ` +
      `(99 %: ${ms(quantile(latencies, 0.99))}); fit ${(spent / 1000).toFixed(1)} s alone, ${(busySpent / 1000).toFixed(1)} s so`,
  );
  if (rate) console.log(`  training is that of a run left alone: ${contents(busy) === contents(quiet)}`);
  else console.log(`  answers with the bits that the call gets alone: ${same} of ${answered}`);
  busy.close();
}

// 4. memory
const memory = async () => {
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 50)); // arrays are freed a little later
  }
  const { rss, external } = process.memoryUsage();
  return [rss, external].map((bytes) => `${(bytes / 1e6).toFixed(1)} MB`).join(" and ");
};
for (const round of [0, 500, 1000, 1500]) {
  if (round)
    for (let i = 0; i < 500 / 4; i++) await Promise.all([1, 2, 3, 9].map((n) => predict(model, some(n), { samples: SAMPLES })));
  console.log(`after ${round} predictions: ${await memory()} (resident, external)`);
}
