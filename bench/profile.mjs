// Where the time of one training step goes, or of one launch of a prediction: each step of the flat program on its own,
// best of several.
// GF/s counts what has to be done: no taps on padding, no gradient of the first layer's input.
//   node bench/profile.mjs lenet5 256 [frequentist]      (after npm run build)
//   node bench/profile.mjs lenet5 52 predict 10          52 images, 10 samples of each
//   node bench/profile.mjs mobilenet,224,0.5 8           images of 224x224, a net of half the width
import { forwardProgram, stepProgram } from "../dist/speed/made.js";
import { openDevice } from "../dist/graph.js";
import { createModel, setThreads } from "../dist/index.js";
import { adam } from "../dist/train/index.js";
import { stepFlops } from "./flops.mjs";

const [which = "lenet5", batch = "256", kind, samples = "10"] = process.argv.slice(2);
const [name, size = 32, width] = which.split(",");
if (process.env.THREADS) setThreads(Number(process.env.THREADS));
const input = [Number(size), Number(size), name === "lenet5" ? 1 : 3];
const bayesian = kind !== "frequentist";
const model = createModel({ model: name, input, classes: 10, bayesian, ...(width && { width: Number(width) }) });
const predicts = kind === "predict";
const made = predicts ? forwardProgram(model, Number(batch), Number(samples)) : stepProgram(model, Number(batch), adam());
const { program } = made;
const { native, steps } = program.planned;
const report = program.report().steps;
const { Plan } = openDevice("cpu").addon;
const bytes = (k) => new Uint8Array(k);
// the feeds of a first step; an all-zero arena is as good as any for timing
const array = { f32: Float32Array, i32: Int32Array, u8: Uint8Array };
const feeds = [...program.inputs].map(([name, t]) => {
  const given = /** @type {Record<string, number | Float32Array | Int32Array>} */ (made.feeds)[name];
  return { data: typeof given === "number" ? array[t.dtype].of(given) : given, stride: 0 };
});
const results = native.resultBytes.map(bytes);
const best = (run, times) => {
  let least = Infinity;
  for (let i = 0; i < times; i++) {
    const t = process.hrtime.bigint();
    run();
    least = Math.min(least, Number(process.hrtime.bigint() - t) / 1e6);
  }
  return least;
};
// first the whole: an optimizer step on an empty arena spoils the parameters
const whole = best(() => program.run(/** @type {never} */ (made.feeds)), 15);
const written = model.store.native.alloc(4);
const rows = native.steps.map((step, i) => {
  const plan = new Plan(model.store.native, { ...native, steps: [step], frozenSteps: 0 });
  const run = () => {
    if (!predicts) model.store.native.write(written, 0, new Float32Array(1)); // weights are new in every training step
    plan.run(1, feeds, results);
  };
  const ms = best(run, 15);
  plan.close();
  const algorithm = report[i].algorithm ?? "";
  return { op: step.op, algorithm, layer: steps[i].node?.layer ?? step.inputs.map((t) => `[${t.shape}]`).join(" "), ms, gflops: stepFlops(program.planned, i) / ms / 1e6, gbs: steps[i].bytes / ms / 1e6 };
});
const sum = rows.reduce((s, r) => s + r.ms, 0);
for (const r of rows.sort((a, b) => b.ms - a.ms).slice(0, 25))
  console.log(`${r.ms.toFixed(3).padStart(9)} ms ${((100 * r.ms) / sum).toFixed(1).padStart(5)} %  ${r.gflops.toFixed(1).padStart(6)} GF/s ${r.gbs.toFixed(1).padStart(6)} GB/s  ${r.op} ${r.layer}${r.algorithm && `: ${r.algorithm}`}`);
console.log(`sum of ${rows.length} steps ${sum.toFixed(2)} ms, whole ${whole.toFixed(2)} ms, arena ${(native.arenaBytes / 1e6).toFixed(1)} MB`);
