// What is measured. Every workload runs in several variants of ours and of the peers; `pairs` says which to compare.
import { hasFeature } from "./machine.mjs";

/**
 * @typedef {object} Workload
 * @property {string} id what `--only` matches
 * @property {"step" | "predict" | "layer"} kind
 * @property {string} name a model or a layer
 * @property {number} batch
 * @property {number} threads
 * @property {number} samples Monte-Carlo samples (predict)
 * @property {boolean} backward forward and backward (layer)
 * @property {readonly Pair[]} pairs
 * @typedef {"Bayesian" | "frequentist" | "Bayesian, bf16" | "frequentist, bf16"} Variant in fp32 unless it says otherwise
 * @typedef {readonly [ours: Variant, peer: string, variant: string]} Pair
 */

/**
 * Single convolutions: image size, channels, filters, kernel, stride, padding. `first`: the first layer of a network,
 * which needs no gradient of its input.
 * @typedef {{ batch: number, size: number, channels: number, filters: number, kernel: number, stride: number,
 *   padding: number, first: boolean }} Layer
 */

/** @type {(size: number, channels: number, filters: number, kernel?: number, stride?: number) => Layer} */
const inside = (size, channels, filters, kernel = 3, stride = 1) => ({
  ...{ batch: 32, size, channels, filters, kernel, stride, padding: kernel >> 1, first: false },
});

/** @type {Record<string, Layer>} */
const single = {
  g1: inside(32, 64, 64),
  g2: inside(16, 128, 128),
  g3: inside(8, 256, 256),
  g4: { batch: 256, size: 28, channels: 1, filters: 6, kernel: 5, stride: 1, padding: 0, first: true },
  g5: { batch: 256, size: 32, channels: 3, filters: 32, kernel: 5, stride: 1, padding: 2, first: true },
  g6: { batch: 32, size: 224, channels: 3, filters: 64, kernel: 7, stride: 2, padding: 3, first: true },
};
/** ResNet-18 at 224x224 (its first layer is g6): each stage's usual layer, and the two by which the next one starts. */
const resnet18 = {
  "r18-64x56": inside(56, 64, 64),
  "r18-128x28": inside(28, 128, 128),
  "r18-256x14": inside(14, 256, 256),
  "r18-512x7": inside(7, 512, 512),
  "r18-128x28-down": inside(56, 64, 128, 3, 2),
  "r18-256x14-down": inside(28, 128, 256, 3, 2),
  "r18-512x7-down": inside(14, 256, 512, 3, 2),
  "r18-128x28-shortcut": inside(56, 64, 128, 1, 2),
  "r18-256x14-shortcut": inside(28, 128, 256, 1, 2),
  "r18-512x7-shortcut": inside(14, 256, 512, 1, 2),
};
const widths = Object.fromEntries([8, 16, 32, 64, 128, 256].map((c) => [`c${c}`, inside(16, c, c)]));
/** @type {Record<string, Layer>} */
export const layers = { ...single, ...resnet18, ...widths };

export const models = ["lenet5", "alexnet", "3conv3fc", "resnet20"];
/** Image channels of a model at its usual size, 32x32. */
export const channelsOf = (/** @type {string} */ model) => (model === "lenet5" ? 1 : 3);

// PyTorch's bf16 only where the processor has it
const bf16 = hasFeature("avx512_bf16");
/** @type {readonly Pair[]} */
const twins = [
  ["frequentist", "pytorch", "deterministic"],
  ["frequentist", "pytorch", "deterministic, channels_last"],
  .../** @type {Pair[]} */ (bf16 ? [["frequentist", "pytorch", "deterministic, bf16"]] : []),
];

/** @type {(batch: number, name: string, threads: number) => Workload} */
const step = (batch, name, threads) => ({
  id: `step ${name} batch ${batch} threads ${threads}`,
  ...{ kind: "step", name, batch, threads, samples: 1, backward: true },
  pairs: [
    ["Bayesian", "pytorch", "deterministic"],
    ["Bayesian", "pytorch", "Bayesian"],
    ...twins,
    .../** @type {Pair[]} */ (batch === 256 ? [["Bayesian, bf16", "pytorch", "deterministic"]] : []),
    .../** @type {Pair[]} */ (batch === 256 && bf16 ? [["frequentist, bf16", "pytorch", "deterministic, bf16"]] : []),
  ],
});

/** @type {(batch: number, name: string, samples: number, threads: number) => Workload} */
const predict = (batch, name, samples, threads) => ({
  id: `predict ${name} samples ${samples} batch ${batch} threads ${threads}`,
  ...{ kind: "predict", name, batch, threads, samples, backward: false },
  pairs: [
    ["Bayesian", "pytorch", "Bayesian"],
    .../** @type {Pair[]} */ (
      samples > 1
        ? []
        : [...twins, ["frequentist", "onnxruntime", "frequentist"], ["frequentist", "tfjs", "frequentist, 1 thread"]]
    ),
  ],
});

/** @type {(name: string, backward: boolean, threads: number) => Workload} */
const layer = (name, backward, threads) => ({
  id: `layer ${name} ${backward ? "forward+backward" : "forward"} threads ${threads}`,
  ...{ kind: "layer", name, batch: layers[name].batch, threads, samples: 1, backward },
  pairs: [
    ["Bayesian", "onednn", "two convolutions"],
    ["Bayesian", "pytorch", "deterministic"],
    ["Bayesian", "pytorch", "Bayesian"],
    ["frequentist", "onednn", "one convolution"],
    ...twins,
    .../** @type {Pair[]} */ (backward || name in widths ? [] : [["frequentist", "onnxruntime", "frequentist"]]),
  ],
});

/**
 * @param {number} threads all that the machine has
 * @returns {Workload[]}
 */
export function workloads(threads) {
  const counts = threads > 1 ? [threads, 1] : [1];
  const both = [false, true];
  return [
    ...counts.flatMap((t) => models.map((m) => step(256, m, t))),
    ...[1, 4, 16, 64, 1024].map((batch) => step(batch, "lenet5", threads)),
    ...models.flatMap((m) => [1, 10].flatMap((samples) => [256, 32, 1].map((b) => predict(b, m, samples, threads)))),
    ...models.map((m) => predict(256, m, 100, threads)),
    ...counts.flatMap((t) => Object.keys(single).flatMap((g) => both.map((backward) => layer(g, backward, t)))),
    ...[...Object.keys(resnet18), ...Object.keys(widths)].flatMap((g) =>
      both.map((backward) => layer(g, backward, threads)),
    ),
  ];
}

/** A variant of ours: which of the two networks, and in which precision. @param {string} variant */
export function parseVariant(variant) {
  const [network, precision] = variant.split(", ");
  return { network, precision: precision === "bf16" ? /** @type {const} */ ("bf16") : /** @type {const} */ ("fp32") };
}

/** @param {Workload} w what is timed, in words */
export function describe({ kind, batch, samples, backward }) {
  if (kind === "step") return `training step, batch ${batch}`;
  if (kind === "layer") return backward ? "forward+backward" : "forward";
  return samples > 1 ? `${samples}-sample prediction, batch ${batch}` : `1-pass prediction, batch ${batch}`;
}
