// What is measured. Every workload runs in several variants of ours and of the peers; `pairs` says which to compare.

/**
 * @typedef {object} Workload
 * @property {string} id what `--only` matches
 * @property {"step" | "predict" | "layer"} kind
 * @property {string} name a model or a layer
 * @property {number} batch
 * @property {number} threads
 * @property {number} samples Monte-Carlo samples (predict)
 * @property {boolean} backward forward and backward (layer)
 * @property {readonly (readonly [ours: Variant, peer: string, variant: string])[]} pairs
 * @typedef {"Bayesian" | "frequentist"} Variant
 */

/**
 * Single convolutions: image size, channels, filters, kernel, stride, padding. `first`: the first layer of a network,
 * which needs no gradient of its input.
 */
export const layers = {
  g1: { batch: 32, size: 32, channels: 64, filters: 64, kernel: 3, stride: 1, padding: 1, first: false },
  g2: { batch: 32, size: 16, channels: 128, filters: 128, kernel: 3, stride: 1, padding: 1, first: false },
  g3: { batch: 32, size: 8, channels: 256, filters: 256, kernel: 3, stride: 1, padding: 1, first: false },
  g4: { batch: 256, size: 28, channels: 1, filters: 6, kernel: 5, stride: 1, padding: 0, first: true },
  g5: { batch: 256, size: 32, channels: 3, filters: 32, kernel: 5, stride: 1, padding: 2, first: true },
  g6: { batch: 32, size: 224, channels: 3, filters: 64, kernel: 7, stride: 2, padding: 3, first: true },
};
const models = ["lenet5", "alexnet", "3conv3fc"];

/** @type {(batch: number, name: string, threads: number) => Workload} */
const step = (batch, name, threads) => ({
  id: `step ${name} batch ${batch} threads ${threads}`,
  ...{ kind: "step", name, batch, threads, samples: 1, backward: true },
  pairs: [
    ["Bayesian", "pytorch", "deterministic"],
    ["Bayesian", "pytorch", "Bayesian"],
    ["frequentist", "pytorch", "deterministic"],
    ["frequentist", "pytorch", "deterministic, channels_last"],
  ],
});

/** @type {(batch: number, name: string, samples: number, threads: number) => Workload} */
const predict = (batch, name, samples, threads) => ({
  id: `predict ${name} samples ${samples} batch ${batch} threads ${threads}`,
  ...{ kind: "predict", name, batch, threads, samples, backward: false },
  pairs: [
    ["Bayesian", "pytorch", "Bayesian"],
    ...(samples > 1
      ? []
      : /** @type {const} */ ([
          ["frequentist", "pytorch", "deterministic"],
          ["frequentist", "pytorch", "deterministic, channels_last"],
          ["frequentist", "onnxruntime", "frequentist"],
        ])),
  ],
});

/** @type {(name: keyof typeof layers, backward: boolean, threads: number) => Workload} */
const layer = (name, backward, threads) => ({
  id: `layer ${name} ${backward ? "forward+backward" : "forward"} threads ${threads}`,
  ...{ kind: "layer", name, batch: layers[name].batch, threads, samples: 1, backward },
  pairs: [
    ["Bayesian", "pytorch", "deterministic"],
    ["Bayesian", "pytorch", "Bayesian"],
    ["frequentist", "pytorch", "deterministic"],
    ["frequentist", "pytorch", "deterministic, channels_last"],
    ...(backward ? [] : /** @type {const} */ ([["frequentist", "onnxruntime", "frequentist"]])),
  ],
});

/**
 * @param {number} threads all that the machine has
 * @returns {Workload[]}
 */
export function workloads(threads) {
  const counts = threads > 1 ? [threads, 1] : [1];
  const names = /** @type {(keyof typeof layers)[]} */ (Object.keys(layers));
  return [
    ...counts.flatMap((t) => models.map((m) => step(256, m, t))),
    ...[1, 16, 64, 1024].map((batch) => step(batch, "lenet5", threads)),
    ...models.flatMap((m) => [1, 10].flatMap((samples) => [256, 32, 1].map((b) => predict(b, m, samples, threads)))),
    ...models.map((m) => predict(1, m, 100, threads)),
    ...counts.flatMap((t) => names.flatMap((g) => [false, true].map((backward) => layer(g, backward, t)))),
  ];
}

/** @param {Workload} w what is timed, in words */
export function describe({ kind, batch, samples, backward }) {
  if (kind === "step") return `training step, batch ${batch}`;
  if (kind === "layer") return backward ? "forward+backward" : "forward";
  return samples > 1 ? `${samples}-sample prediction, batch ${batch}` : `1-pass prediction, batch ${batch}`;
}
