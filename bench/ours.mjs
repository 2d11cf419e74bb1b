// One workload of ours as a process: node bench/ours.mjs '{workload, variant}'. Needs `npm run build`.
import { forwardProgram, stepProgram } from "../dist/speed/made.js";
import { compile, grad, openDevice, Store } from "../dist/graph.js";
import { apply, f32 } from "../dist/graph/node.js";
import { withTrace } from "../dist/graph/trace.js";
import { bayesConv2d, conv2d, createModel, setThreads } from "../dist/index.js";
import { largestLaunch, launchSize } from "../dist/predict/launches.js";
import { adam } from "../dist/train/index.js";
import { flopsOf } from "./flops.mjs";
import { serve } from "./serve.mjs";
import { channelsOf, layers, parseVariant } from "./workloads.mjs";

/** @type {{ workload: import("./workloads.mjs").Workload, variant: string }} */
const { workload, variant } = JSON.parse(process.argv[2]);
const { kind, name, batch, samples, backward, threads } = workload;
const { network, precision } = parseVariant(variant);
const bayesian = network === "Bayesian";
setThreads(threads);
const { program, launches, once } = kind === "layer" ? layerProgram() : modelProgram();
const { traffic, arenaBytes, workspaceBytes } = program.report();
const about = { version: "bayescnn", device: openDevice("cpu").name, memory: arenaBytes, workspace: workspaceBytes };
await serve({ ...about, flops: launches * flopsOf(program), traffic: launches * traffic }, once);

/** A published model; its deterministic twin has the same activations, so that both networks do the same work. */
function modelProgram() {
  const input = /** @type {[number, number, number]} */ ([32, 32, channelsOf(name)]);
  const model = createModel({ model: name, input, classes: 10, bayesian, activation: "softplus" });
  const cut = kind === "step" ? { launches: 1, batch } : launchesOf(batch, samples);
  const made =
    kind === "step"
      ? stepProgram(model, batch, adam(), precision)
      : forwardProgram(model, cut.batch, samples, precision);
  const once = () => made.program.run(/** @type {never} */ (made.feeds), cut.launches);
  return { program: made.program, launches: cut.launches, once };
}

/** As many launches as predict() makes, where they have one size. */
function launchesOf(/** @type {number} */ count, /** @type {number} */ samples) {
  const size = launchSize(count, largestLaunch(model.store.device, samples));
  return { launches: Math.ceil(count / size), batch: size };
}

/**
 * A single convolution, from resident x and dy: the output and the gradients are computed straight into memory that is
 * there before the first run, and nothing else is done.
 */
function layerProgram() {
  const g = layers[name];
  const store = new Store("cpu");
  const resident = (/** @type {string} */ of, /** @type {readonly number[]} */ shape) => {
    const length = shape.reduce((a, b) => a * b);
    store.define(of, shape, { init: () => Float32Array.from({ length }, () => Math.random() - 0.5) });
    return store.tensor(of);
  };
  // hands dy to the layer's backward pass as it is; never run, since nobody asks for the loss
  /** @type {import("../dist/graph/node.js").Op} */
  const seed = { name: "benchSeed", infer: () => [f32([])], grad: (_, { inputs: [, dy] }) => [dy, undefined] };
  /** @type {Record<"rng" | "rows", import("../dist/graph.js").InputSpec>} */
  const specs = { rng: { shape: [4], dtype: "i32" }, rows: { shape: [batch], dtype: "i32" } };
  const program = compile({ store, precision }, specs, (noise) => {
    const x = resident("x", [batch, g.size, g.size, g.channels]);
    const { value: y, trace } = withTrace({ store, mode: "sample", noise }, () =>
      (bayesian ? bayesConv2d : conv2d)(x, g.filters, g.kernel, { stride: g.stride, padding: g.padding }),
    );
    if (!backward) return { y };
    const [loss] = apply(seed, [y, resident("dy", y.shape)], {});
    const gradients = grad(loss, [...trace.parameters.values(), ...(g.first ? [] : [x])]);
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
