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

/**
 * Hands dy to the layer's backward pass as it is; never run, since nobody asks for the loss.
 * @type {import("../../dist/graph/node.js").Op}
 */
const seed = { name: "benchSeed", infer: () => [f32([])], grad: (_, { inputs: [, dy] }) => [dy, undefined] };

/**
 * Of an x (and a dL/dy) that is read where it lies: the output and the gradients are computed straight into memory that is there before the
 * first run, and nothing else is done. With gradients the weights are those of a training, new in every step: the store is
 * written to, so that nothing stays that was made of them.
 * @param {import("../workloads.mjs").Workload} workload
 * @param {string} variant
 */
export function layerProgram({ name, batch, backward }, variant) {
  const { network, precision } = parseVariant(variant);
  const layer = layers[name];
  const store = new Store("cpu");
  const layerOf = (/** @type {Record<string, import("../../dist/graph.js").Tensor>} */ { x, rng, rows }) => {
    const training = "training" in layer && layer.training;
    return withTrace({ store, mode: "sample", noise: { rng, rows }, training }, () =>
      applied(layer, x, network === "Bayesian"),
    );
  };
  /** @type {Record<string, import("../../dist/graph.js").InputSpec>} */
  const specs = { x: inputShape(layer), rng: { shape: [4], dtype: "i32" }, rows: { shape: [batch], dtype: "i32" } };
  if (backward) {
    const forward = compile({ store }, specs, (given) => ({ y: layerOf(given).value }));
    specs.dy = forward.outputs.get("y")?.shape ?? [];
    forward.close();
  }
  const program = compile({ store, precision }, specs, ({ dy, ...given }) => {
    const { value: y, trace } = layerOf(given);
    if (!backward) return { y };
    const { x } = given;
    const [loss] = apply(seed, [y, dy], {});
    const weights = [...trace.parameters].filter(([slot]) => store.slots.get(slot)?.trainable).map(([, t]) => t);
    const gradients = grad(loss, [...weights, ...("first" in layer && layer.first ? [] : [x])]);
    return Object.fromEntries([["y", y], ...gradients.map((d, i) => [`gradient${i}`, d])]);
  });
  const plan = new (openDevice("cpu").addon.Plan)(store.native, program.planned.native);
  /** @type {Record<string, Int32Array>} */
  const noise = { rng: Int32Array.of(1, 2, 3, 0), rows: Int32Array.from({ length: batch }, (_, i) => i) };
  const feeds = [...program.inputs].map(([input, { size }]) => ({
    data: noise[input] ?? Float32Array.from({ length: size }, () => Math.random() - 0.5),
    stride: 0,
  }));
  const results = [...program.outputs.values()].map((t) => new Float32Array(t.size));
  const written = store.native.alloc(4);
  const once = () => {
    if (backward) store.native.write(written, 0, new Float32Array(1));
    plan.run(1, feeds, results);
  };
  return { program, launches: 1, once };
}
