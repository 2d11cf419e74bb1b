// What is measured. Every workload runs in several variants of ours and of the peers; `pairs` says which to compare.
import { layers, others, resnet18, single, weightless, widths } from "./layers.mjs";
import { hasFeature } from "./machine.mjs";

/**
 * @typedef {object} Workload
 * @property {string} id what `--only` matches
 * @property {"step" | "predict" | "layer" | "one image" | "create" | "compile"} kind
 * @property {string} name a model or a layer
 * @property {number} batch
 * @property {number} threads
 * @property {number} samples Monte-Carlo samples (predict, one image)
 * @property {boolean} backward forward and backward (layer)
 * @property {readonly Pair[]} pairs
 * @typedef {"Bayesian" | "frequentist" | "Bayesian, bf16" | "frequentist, bf16"} Variant in fp32 unless it says otherwise
 * @typedef {readonly [ours: Variant, peer: string, variant: string] | readonly [ours: Variant]} Pair the latter: nobody to compare with
 */

/** The paper's small nets, and ResNet-20. */
export const models = ["lenet5", "alexnet", "3conv3fc", "resnet20"];
/** Nets of 224x224 images and 1000 classes. */
const large = ["resnet18", "mobilenet"];
/** A model at its usual size, but for what makes it Bayesian. All have softplus, the large ones ReLU. @param {string} model */
export const configOf = (model) => ({
  model,
  input: /** @type {[number, number, number]} */ (
    large.includes(model) ? [224, 224, 3] : [32, 32, model === "lenet5" ? 1 : 3]
  ),
  classes: large.includes(model) ? 1000 : 10,
  activation: /** @type {const} */ (large.includes(model) ? "relu" : "softplus"),
});

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
        : [
            ...twins,
            ["frequentist", "onnxruntime", "frequentist"],
            ...(large.includes(name) ? [] : [["frequentist", "tfjs", "frequentist, 1 thread"]]),
          ]
    ),
  ],
});

/** @type {(name: string, backward: boolean, threads: number, pairs: readonly Pair[]) => Workload} */
const layer = (name, backward, threads, pairs) => ({
  id: `layer ${name} ${backward ? "forward+backward" : "forward"} threads ${threads}`,
  ...{ kind: "layer", name, batch: layers[name].batch, threads, samples: 1, backward, pairs },
});

/** @type {readonly Pair[]} */
const inOnnxRuntime = [["frequentist", "onnxruntime", "frequentist"]];

/** A convolution that oneDNN has too. @type {(name: string, backward: boolean, threads: number) => Workload} */
const convolution = (name, backward, threads) =>
  layer(name, backward, threads, [
    ["Bayesian", "onednn", "two convolutions"],
    ["Bayesian", "pytorch", "deterministic"],
    ["Bayesian", "pytorch", "Bayesian"],
    ["frequentist", "onednn", "one convolution"],
    ...twins,
    ...(backward || name in widths ? [] : inOnnxRuntime),
  ]);

/** Any other layer. @type {(name: string, backward: boolean, threads: number) => Workload} */
const other = (name, backward, threads) =>
  layer(name, backward, threads, [
    .../** @type {Pair[]} */ (name in others ? [["Bayesian", "pytorch", "Bayesian"]] : []),
    ["frequentist", "pytorch", "deterministic"],
    .../** @type {Pair[]} */ ("size" in layers[name] ? [["frequentist", "pytorch", "deterministic, channels_last"]] : []),
    ...(backward || !(name in others) ? [] : inOnnxRuntime),
  ]);

/** One sample: the means. @type {(name: string, samples: number, threads: number) => Workload} */
const oneImage = (name, samples, threads) => ({
  id: `one image ${name} ${samples === 1 ? "mean" : `samples ${samples}`} threads ${threads}`,
  ...{ kind: "one image", name, batch: 1, threads, samples, backward: false },
  pairs: samples === 1 ? [["Bayesian", "onnxruntime", "frequentist"]] : [["Bayesian", "launch", "Bayesian"]],
});

/** @type {(name: string, threads: number) => Workload} */
const create = (name, threads) => ({
  id: `create ${name.replace(/ batch.*/, "")} threads ${threads}`,
  ...{ kind: "create", name, batch: 1, threads, samples: 1, backward: false },
  pairs:
    name in layers
      ? [
          ["Bayesian", "pytorch", "Bayesian"],
          ["frequentist", "pytorch", "deterministic"],
        ]
      : [["Bayesian"], ["frequentist"]],
});

/** @type {(name: string, threads: number) => Workload} */
const compile = (name, threads) => ({
  id: `compile step ${name} batch 32 threads ${threads}`,
  ...{ kind: "compile", name, batch: 32, threads, samples: 1, backward: true, pairs: [["Bayesian"], ["frequentist"]] },
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
    ...large.flatMap((m) => [1, 8].flatMap((b) => [step(b, m, threads), predict(b, m, 1, threads)])),
    ...counts.flatMap((t) => Object.keys(single).flatMap((g) => both.map((backward) => convolution(g, backward, t)))),
    ...Object.keys({ ...resnet18, ...widths }).flatMap((g) => both.map((backward) => convolution(g, backward, threads))),
    ...Object.keys({ ...others, ...weightless }).flatMap((g) =>
      both.filter((backward) => !backward || !/inference/.test(g)).map((backward) => other(g, backward, threads)),
    ),
    ...models.flatMap((m) => [1, 10, 32].map((samples) => oneImage(m, samples, threads))),
    ...["linear 9216-4096 batch 64", ...large, ...models].map((m) => create(m, threads)),
    ...models.map((m) => compile(m, threads)),
  ];
}

/** A variant of ours: which of the two networks, and in which precision. @param {string} variant */
export function parseVariant(variant) {
  const [network, precision] = variant.split(", ");
  return { network, precision: precision === "bf16" ? /** @type {const} */ ("bf16") : /** @type {const} */ ("fp32") };
}

/** @param {Workload} w what is timed, in words */
export function describe({ kind, batch, samples, backward }) {
  if (kind === "create") return "creation";
  if (kind === "compile") return `compilation of a training step, batch ${batch}`;
  if (kind === "one image") return `predict() of one image, ${samples === 1 ? "means" : `${samples} samples`}`;
  if (kind === "step") return `training step, batch ${batch}`;
  if (kind === "layer") return backward ? "forward+backward" : "forward";
  return samples > 1 ? `${samples}-sample prediction, batch ${batch}` : `1-pass prediction, batch ${batch}`;
}
