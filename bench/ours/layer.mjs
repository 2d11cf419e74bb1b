// A single layer of ours, and a program that is nothing but it.
import { compile, grad, openDevice, ops, Store } from "../../dist/graph.js";
import { apply, f32 } from "../../dist/graph/node.js";
import { withTrace } from "../../dist/graph/trace.js";
import { batchNorm2d, bayesConv2d, bayesLinear, conv2d, globalAvgPool2d, linear, relu } from "../../dist/index.js";
import { inputShape, layers } from "../layers.mjs";
import { parseVariant } from "../workloads.mjs";

/** @param {import("../layers.mjs").Layer} layer @param {import("../../dist/graph.js").Tensor} x @param {boolean} bayesian */
export function applied(layer, x, bayesian) {
  switch (layer.op) {
    case "conv": {
      const { filters, kernel, stride, padding, groups } = layer;
      return (bayesian ? bayesConv2d : conv2d)(x, filters, kernel, { stride, padding, groups });
    }
    case "linear":
      return (bayesian ? bayesLinear : linear)(x, layer.outputs);
    case "batch norm":
      return batchNorm2d(x);
    case "global average pool":
      return globalAvgPool2d(x);
    case "relu":
      return relu(x);
    case "exp":
      return ops.exp(x);
    case "row sum":
      return ops.sum(x, [1]);
  }
}

/** Hands dy to the layer's backward pass as it is; never run, since nobody asks for the loss. */
/** @type {import("../../dist/graph/node.js").Op} */
const seed = { name: "benchSeed", infer: () => [f32([])], grad: (_, { inputs: [, dy] }) => [dy, undefined] };

/**
 * From resident x and dy: the output and the gradients are computed straight into memory that is there before the first run,
 * and nothing else is done.
 * @param {import("../workloads.mjs").Workload} workload
 * @param {string} variant
 */
export function layerProgram({ name, batch, backward }, variant) {
  const { network, precision } = parseVariant(variant);
  const layer = layers[name];
  const store = new Store("cpu");
  const resident = (/** @type {string} */ of, /** @type {readonly number[]} */ shape) => {
    const length = shape.reduce((a, b) => a * b);
    store.define(of, shape, { init: () => Float32Array.from({ length }, () => Math.random() - 0.5) });
    return store.tensor(of);
  };
  /** @type {Record<"rng" | "rows", import("../../dist/graph.js").InputSpec>} */
  const specs = { rng: { shape: [4], dtype: "i32" }, rows: { shape: [batch], dtype: "i32" } };
  const program = compile({ store, precision }, specs, (noise) => {
    const x = resident("x", inputShape(layer));
    const training = "training" in layer && layer.training;
    const { value: y, trace } = withTrace({ store, mode: "sample", noise, training }, () =>
      applied(layer, x, network === "Bayesian"),
    );
    if (!backward) return { y };
    const [loss] = apply(seed, [y, resident("dy", y.shape)], {});
    const weights = [...trace.parameters].filter(([slot]) => store.slots.get(slot)?.trainable).map(([, t]) => t);
    const gradients = grad(loss, [...weights, ...("first" in layer && layer.first ? [] : [x])]);
    return Object.fromEntries([["y", y], ...gradients.map((d, i) => [`gradient${i}`, d])]);
  });
  const plan = new (openDevice("cpu").addon.Plan)(store.native, program.planned.native);
  const values = { rng: Int32Array.of(1, 2, 3, 0), rows: Int32Array.from({ length: batch }, (_, i) => i) };
  const feeds = [...program.inputs.keys()].map((input) => ({
    data: values[/** @type {keyof typeof values} */ (input)],
    stride: 0,
  }));
  const results = [...program.outputs.values()].map((t) => new Float32Array(t.size));
  return { program, launches: 1, once: () => plan.run(1, feeds, results) };
}
