// How well the trained models predict, by precision: node bench/quality.mjs --data-dir DIR [--precision fp32,bf16]
// [--only REGEX] [--quick]. Every precision trains from the same parameters, on the same batches, with the same noise.
// About an hour on two cores. Needs `npm run build`, MNIST and CIFAR-10. What it finds replaces what
// bench/results/quality.json held of the same runs; --quick only shows that everything works, and records nothing.
import { parseArgs } from "node:util";
import { openDevice } from "../dist/graph.js";
import { createModel, evaluate, fit, loadData, subset } from "../dist/index.js";
import { defaults } from "../dist/train/defaults.js";
import { describeMachine } from "./machine.mjs";
import { recordQuality } from "./results.mjs";
import { writeTables } from "./table.mjs";

/**
 * @typedef {object} QualityRow
 * @property {string} id network and data
 * @property {string} model
 * @property {string} data
 * @property {string} precision
 * @property {number} seed
 * @property {number} epochs
 * @property {number} samples Monte-Carlo samples of the test
 * @property {number} accuracy of the test images, as all that follows
 * @property {number} nll nats
 * @property {number} ece
 * @property {number} brier
 * @property {number} seconds of training
 * @property {string} device
 * @property {string} machine
 * @property {string} measured on which day
 */

const runs = [
  { model: "lenet5", data: "mnist", epochs: 4, seeds: [1, 2, 3] },
  { model: "lenet5", data: "cifar-10", epochs: 5, seeds: [1, 2, 3] },
  { model: "alexnet", data: "cifar-10", epochs: 5, seeds: [1, 2] },
  { model: "3conv3fc", data: "cifar-10", epochs: 3, seeds: [1] },
];
const TEST_SAMPLES = 10;

const { values: options } = parseArgs({
  options: {
    "data-dir": { type: "string" },
    precision: { type: "string", default: "fp32" },
    only: { type: "string", default: "" },
    quick: { type: "boolean", default: false },
  },
});
const precisions = /** @type {import("../dist/index.js").Precision[]} */ (options.precision.split(","));
const machine = describeMachine();
console.log(machine);
/** @type {QualityRow[]} */
const rows = [];
for (const { model, data, epochs, seeds } of runs) {
  const id = `${model} ${data}`;
  if (!new RegExp(options.only).test(id)) continue;
  const whole = await loadData(data, options["data-dir"]);
  const first = (/** @type {number} */ n) => Array.from({ length: n }, (_, i) => i);
  const { train, test } = options.quick
    ? { train: subset(whole.train, first(5000)), test: subset(whole.test, first(1000)) }
    : whole;
  for (const seed of options.quick ? [1] : seeds)
    for (const precision of precisions) {
      const { accuracy, nll, ece, brier, seconds } = await trained(model, { train, test }, epochs, seed, precision);
      rows.push({
        ...{ id, model, data, precision, seed, epochs, samples: TEST_SAMPLES },
        ...{ accuracy, nll: round(nll), ece: round(ece), brier: round(brier), seconds: round(seconds) },
        ...{ device: openDevice("cpu").name, machine, measured: new Date().toISOString().slice(0, 10) },
      });
      const figures = `accuracy ${accuracy}  NLL ${round(nll)}  ECE ${round(ece)}`;
      console.log(`${id}  ${precision}  seed ${seed}  ${figures}  ${seconds.toFixed(0)} s`);
      if (!options.quick) recordQuality(rows); // in case that something ends the run
    }
}
if (!options.quick) writeTables();

/**
 * One network by the command line's recipe, trained and tested.
 * @param {string} model
 * @param {import("../dist/index.js").TrainTest} data
 * @param {number} epochs
 * @param {number} seed
 * @param {import("../dist/index.js").Precision} precision
 */
async function trained(model, { train, test }, epochs, seed, precision) {
  const net = createModel({ model, input: [...train.shape], classes: train.classes.length, bayesian: true, seed });
  try {
    const { wall } = await fit(net, { train }, { epochs: options.quick ? 1 : epochs, seed, precision });
    const { metrics } = await evaluate(net, test, { samples: TEST_SAMPLES, seed, precision });
    return { ...metrics, seconds: wall.seconds };
  } finally {
    net.close();
  }
}

/** @param {number} x */
function round(x) {
  return Number(x.toPrecision(4));
}
