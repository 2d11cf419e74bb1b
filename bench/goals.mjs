// What the library wants to reach on a CPU, with all its cores, and what has been measured of it.

import { others, weightless } from "./layers.mjs";
import { models } from "./workloads.mjs";

/** @typedef {import("./run.mjs").Row} Row */

/**
 * @typedef {object} Case
 * @property {string} name
 * @property {number} target
 * @property {(rows: readonly Row[]) => number | undefined} measured
 * @typedef {{ goal: string, least?: boolean, cases: readonly Case[] }} Goal least: to be reached; else not to be exceeded
 */

const titles = {
  ...{ lenet5: "LeNet-5", alexnet: "AlexNet", "3conv3fc": "3Conv3FC", resnet20: "ResNet-20" },
  ...{ resnet18: "ResNet-18", mobilenet: "MobileNet" },
};
export const title = (/** @type {string} */ name) => titles[/** @type {keyof typeof titles} */ (name)] ?? name;

/**
 * The rows of a workload on the most threads that it was measured on.
 * @param {readonly Row[]} rows
 * @param {string} id without the threads
 * @param {string} ours variant
 * @param {string} precision
 */
function of(rows, id, ours, precision = "fp32") {
  const all = rows.filter(
    (r) => r.id.replace(/ threads \d+.*/, "") === id && r.what.startsWith(`${ours}:`) && r.precision === precision,
  );
  return all.filter((r) => r.threads === Math.max(...all.map((x) => x.threads)));
}

/** The ratio to a peer; where several match, to the fastest. */
const against =
  (/** @type {string} */ id, /** @type {string} */ ours, /** @type {RegExp} */ peer, precision = "fp32") =>
  (/** @type {readonly Row[]} */ rows) => {
    const ratios = of(rows, id, ours, precision).filter((r) => r.peer && peer.test(r.peer));
    return ratios.length ? Math.max(...ratios.map((r) => r.ratio ?? 0)) : undefined;
  };

const peakShare = (/** @type {string} */ id) => (/** @type {readonly Row[]} */ rows) =>
  of(rows, id, "Bayesian")[0]?.peakShare ?? undefined;

const deterministic = /^PyTorch .* deterministic$/;
const reference = /^PyTorch .* Bayesian$/;
const any = /^PyTorch .* deterministic/;
const two = /two convolutions$/;

/** @type {(targets: Record<string, number>, measured: (name: string) => Case["measured"]) => Case[]} */
const cases = (targets, measured) =>
  Object.entries(targets).map(([name, target]) => ({ name: title(name), target, measured: measured(name) }));
/** The same target for many. @param {readonly string[]} names @param {number} target */
const each = (names, target) => Object.fromEntries(names.map((name) => [name, target]));
const first = each(["g4", "g5", "g6"], 2.2);
const groupedLayers = Object.keys(others).filter((name) => /^(depthwise|grouped)/.test(name));
const [grouped, halved] = [1.5, 0.5].map((target) => each(groupedLayers, target));
const streaming = each(Object.keys(weightless), 1.15);
const small = each(models, 1.2);
const forward = each(["g1", "g2", "g3", "g4", "g5", "g6"], 1);

/** @type {readonly Goal[]} */
export const goals = [
  {
    goal: "Bayesian training step / PyTorch's deterministic one",
    cases: cases({ lenet5: 0.45, alexnet: 0.9, "3conv3fc": 1.05 }, (name) =>
      against(`step ${name} batch 256`, "Bayesian", deterministic),
    ),
  },
  {
    goal: "the same in bf16 / PyTorch's deterministic one in fp32",
    cases: cases({ alexnet: 0.75, "3conv3fc": 0.75 }, (name) =>
      against(`step ${name} batch 256`, "Bayesian", deterministic, "bf16"),
    ),
  },
  {
    goal: "Bayesian layer, forward / two bare oneDNN convolutions",
    cases: cases({ g1: 1.1, g2: 1.05, g3: 1.05 }, (name) => against(`layer ${name} forward`, "Bayesian", two)),
  },
  {
    goal: "Bayesian layer, forward+backward / two bare oneDNN convolutions",
    cases: cases({ g1: 1.05, g2: 1.05, g3: 1.05 }, (name) =>
      against(`layer ${name} forward+backward`, "Bayesian", two),
    ),
  },
  {
    goal: "first Bayesian layer, forward+backward / PyTorch's plain convolution",
    cases: cases(first, (name) => against(`layer ${name} forward+backward`, "Bayesian", deterministic)),
  },
  {
    goal: "first Bayesian layer, forward+backward: share of the FMA peak",
    least: true,
    cases: cases({ g5: 0.5, g6: 0.5 }, (name) => peakShare(`layer ${name} forward+backward`)),
  },
  {
    goal: "10-sample prediction / PyTorch's Bayesian one",
    cases: cases({ lenet5: 0.1, "3conv3fc": 0.303, alexnet: 0.345 }, (name) =>
      against(`predict ${name} samples 10 batch 256`, "Bayesian", reference),
    ),
  },
  {
    goal: "frequentist training step / PyTorch's fastest deterministic one",
    cases: cases({ lenet5: 1, alexnet: 1, "3conv3fc": 1, resnet20: 1 }, (name) =>
      against(`step ${name} batch 256`, "frequentist", any),
    ),
  },
  {
    goal: "frequentist layer, forward / ONNX Runtime",
    cases: cases(forward, (name) => against(`layer ${name} forward`, "frequentist", /^onnxruntime/)),
  },
  {
    goal: "images of 224x224, batch 8: frequentist training step / PyTorch's fastest deterministic one",
    cases: cases({ resnet18: 1, mobilenet: 1.2 }, (name) => against(`step ${name} batch 8`, "frequentist", any)),
  },
  {
    goal: "images of 224x224, batch 8: Bayesian training step / PyTorch's fastest deterministic one",
    cases: cases({ resnet18: 1.5, mobilenet: 1.5 }, (name) => against(`step ${name} batch 8`, "Bayesian", any)),
  },
  {
    goal: "images of 224x224, batch 8: Bayesian training step / PyTorch's Bayesian one",
    cases: cases({ resnet18: 0.45, mobilenet: 0.45 }, (name) => against(`step ${name} batch 8`, "Bayesian", reference)),
  },
  {
    goal: "images of 224x224, one: frequentist prediction / the fastest peer",
    cases: cases({ resnet18: 1.2, mobilenet: 1.2 }, (name) =>
      against(`predict ${name} samples 1 batch 1`, "frequentist", /./),
    ),
  },
  {
    goal: "depthwise and grouped layers, frequentist forward / the fastest peer",
    cases: cases(grouped, (name) => against(`layer ${name} forward`, "frequentist", /./)),
  },
  {
    goal: "the same, forward+backward",
    cases: cases(grouped, (name) => against(`layer ${name} forward+backward`, "frequentist", /./)),
  },
  {
    goal: "the same, Bayesian forward+backward / PyTorch's Bayesian one",
    cases: cases(halved, (name) => against(`layer ${name} forward+backward`, "Bayesian", reference)),
  },
  {
    goal: "batch norm and ops that memory bounds, forward / PyTorch's fastest",
    cases: cases(streaming, (name) => against(`layer ${name} forward`, "frequentist", any)),
  },
  {
    goal: "means of one image, predict() / ONNX Runtime",
    cases: cases(small, (name) => against(`one image ${name} mean`, "Bayesian", /^onnxruntime/)),
  },
  {
    goal: "10 samples of one image, predict() / its bare launch",
    cases: cases(small, (name) => against(`one image ${name} samples 10`, "Bayesian", /./)),
  },
];

/** @param {readonly Row[]} rows of one device @returns {string[][]} what was measured of each goal, case by case; nothing of one that no row is about */
export function goalTable(rows) {
  return goals.flatMap(({ goal, least, cases }) => {
    const values = cases.map(({ measured }) => measured(rows));
    if (values.every((value) => value === undefined)) return [];
    const shown = cases.map(({ name, target }, i) => {
      const value = values[i];
      const met = value !== undefined && (least ? value >= target : value <= target);
      return `${name} ${value === undefined ? "–" : value.toFixed(2)}${met ? " ✓" : ""} (${least ? "≥" : "≤"} ${target})`;
    });
    return [[goal, shown.join(", ")]];
  });
}
