// A published model of ours: its programs, and what a user waits for besides them.
import { Store } from "../../dist/graph.js";
import { f32 } from "../../dist/graph/node.js";
import { input, withTrace } from "../../dist/graph/trace.js";
import { createModel, predict } from "../../dist/index.js";
import { largestLaunch, launchSize } from "../../dist/predict/launches.js";
import { forwardProgram, stepProgram } from "../../dist/speed/made.js";
import { adam } from "../../dist/train/index.js";
import { inputShape, layers } from "../layers.mjs";
import { configOf, parseVariant } from "../workloads.mjs";
import { applied } from "./layer.mjs";

/** @typedef {import("../workloads.mjs").Workload} Workload */

/** Its deterministic twin has the same activations, so that both networks do the same work. */
function made(/** @type {string} */ name, /** @type {string} */ variant) {
  const bayesian = parseVariant(variant).network === "Bayesian";
  return createModel({ ...configOf(name), bayesian });
}

/** @param {Workload} workload @param {string} variant */
export function modelProgram({ kind, name, batch, samples }, variant) {
  const { precision } = parseVariant(variant);
  const model = made(name, variant);
  const cut = kind === "step" ? { launches: 1, batch } : launchesOf(model, batch, samples);
  const { program, feeds } =
    kind === "step"
      ? stepProgram(model, batch, adam(), precision)
      : forwardProgram(model, cut.batch, samples, precision);
  return { program, launches: cut.launches, once: () => program.run(/** @type {never} */ (feeds), cut.launches) };
}

/** As many launches as predict() makes, where they have one size. */
function launchesOf(/** @type {import("../../dist/index.js").Model} */ model, count = 1, samples = 1) {
  const size = launchSize(count, largestLaunch(model.store.device, samples));
  return { launches: Math.ceil(count / size), batch: size };
}

/** A call of predict() with one image, in mean mode where there is one sample. @param {Workload} workload @param {string} variant */
export function oneImage({ name, samples }, variant) {
  const model = made(name, variant);
  const shape = /** @type {readonly [number, number, number]} */ (model.inputShape);
  const image = { images: new Float32Array(shape[0] * shape[1] * shape[2]).fill(0.5), count: 1, shape };
  return () => predict(model, image, samples === 1 ? { mode: "mean" } : { samples });
}

/** A model or a single layer from nothing, with its parameters. @param {Workload} workload @param {string} variant */
export function creation({ name }, variant) {
  if (!(name in layers)) return () => made(name, variant).close();
  const [, ...shape] = inputShape(layers[name]);
  const bayesian = parseVariant(variant).network === "Bayesian";
  return () => {
    const store = new Store("cpu");
    withTrace({ store }, () => applied(layers[name], input("x", f32([1, ...shape])), bayesian));
    store.close();
  };
}

/** Tracing and planning of a training step. @param {Workload} workload @param {string} variant */
export function compilation({ name, batch }, variant) {
  const model = made(name, variant);
  return () => stepProgram(model, batch, adam())[Symbol.dispose]();
}
