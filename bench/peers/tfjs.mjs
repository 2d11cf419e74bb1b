// One inference workload of a model in TensorFlow.js on WebAssembly (SIMD) as a process: the deterministic twin of ours,
// operation by operation, with our weights. It has one thread: its threaded build needs a browser.
//   node bench/peers/tfjs.mjs '{workload}'
import { forwardProgram } from "../../dist/speed/made.js";
import { f32 } from "../../dist/graph/node.js";
import { topo } from "../../dist/graph/walk.js";
import { input, withTrace } from "../../dist/graph/trace.js";
import { createModel } from "../../dist/index.js";
import { optional, serve } from "../serve.mjs";
import { configOf } from "../workloads.mjs";

/** @type {{ workload: import("../workloads.mjs").Workload }} */
const { workload } = JSON.parse(process.argv[2]);
const { name, batch } = workload;
const [tf, { setThreadsCount }] = await optional(() =>
  Promise.all([import("@tensorflow/tfjs"), import("@tensorflow/tfjs-backend-wasm")]),
);
setThreadsCount(1);
await tf.setBackend("wasm");
if (!(await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT"))) throw new Error("expected WebAssembly with SIMD");

const model = createModel({ ...configOf(name), bayesian: false });
const image = input("x", f32([batch, ...model.inputShape]));
const { value: logits } = withTrace(
  { store: model.store, mode: "mean" },
  () => model.apply(image, { mode: "mean" }).output,
);
const nodes = topo([logits]);
/** @type {Map<import("../../dist/index.js").Tensor, any>} what stays from run to run */
const kept = new Map();
for (const { leaf, outputs } of nodes)
  if (leaf?.kind === "store") kept.set(outputs[0], tf.tensor(model.store.get(leaf.name), [...outputs[0].shape]));

const made = forwardProgram(model, batch, 1);
kept.set(image, tf.tensor(/** @type {Float32Array} */ (made.feeds.x), [...image.shape]));
agree(made.program.run(made.feeds).logits, once());
await serve({ version: `tfjs ${tf.version.tfjs}` }, once);

/** The logits: WebAssembly works while it is called, and they are copied out of its memory. */
function once() {
  return tf.tidy(() => {
    const values = new Map(kept);
    for (const { leaf, op, inputs, attrs, outputs } of nodes)
      if (!leaf) {
        const known = inputs.map((t) => values.get(t));
        values.set(outputs[0], operation(op.name, known, attrs, [...outputs[0].shape]));
      }
    return values.get(logits).dataSync();
  });
}

/**
 * @param {string} op
 * @param {any[]} inputs
 * @param {any} attrs
 * @param {number[]} shape of the output
 */
function operation(op, [a, b, c, d, e], attrs, shape) {
  const [top, left, bottom, right] = attrs.padding ?? [0, 0, 0, 0];
  /** @type {[[number, number], [number, number], [number, number], [number, number]]} */
  const pad = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  switch (op) {
    case "conv2d":
      return tf.fused.conv2d({ x: a, filter: b, strides: attrs.stride, pad, bias: attrs.bias ? c : undefined });
    case "linear":
      return tf.fused.matMul({ a, b, bias: attrs.bias ? c : undefined });
    case "softplus":
      return tf.softplus(a);
    case "maxPool2d":
      return tf.maxPool(a, attrs.kernel, attrs.stride, pad);
    case "avgPool2d":
      return tf.avgPool(a, attrs.kernel, attrs.stride, pad);
    case "batchNorm2dInference":
      return tf.batchNorm(a, d, e, c, b, attrs.epsilon);
    case "add":
      return tf.add(a, b);
    case "pad":
      return tf.pad(
        a,
        attrs.before.map((/** @type {number} */ before, /** @type {number} */ i) => [before, attrs.after[i]]),
      );
    case "reshape":
      return tf.reshape(a, shape);
    default:
      throw new Error(`no TensorFlow.js version of ${op}`);
  }
}

/**
 * A peer that computes something else is none.
 * @param {Float32Array} ours
 * @param {Float32Array} theirs
 */
function agree(ours, theirs) {
  const scale = ours.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const apart = ours.reduce((most, v, i) => Math.max(most, Math.abs(v - theirs[i])), 0);
  if (!(apart < 1e-3 * scale)) throw new Error(`expected our logits, received others: ${apart} apart`);
}
