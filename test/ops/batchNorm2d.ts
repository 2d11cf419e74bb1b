import type { Shape } from "../../lib/graph/node.ts";
import { batchNorm2d, batchNorm2dInference } from "../../lib/ops/batchNorm2d.ts";
import { scale } from "../../lib/ops/scale.ts";
import { activated, given, type OpCase, uniform, type Value } from "./harness.ts";

const EPSILON = 1e-5;

function statistics({ shape, data }: Value): { mean: Float64Array; variance: Float64Array } {
  const c = shape.at(-1)!;
  const mean = new Float64Array(c);
  const variance = new Float64Array(c);
  const n = data.length / c;
  for (const [i, v] of data.entries()) mean[i % c] += v / n;
  for (const [i, v] of data.entries()) variance[i % c] += (v - mean[i % c]) ** 2 / n;
  return { mean, variance };
}

function normalized(
  { x, gamma, beta }: Readonly<Record<string, Value>>,
  mean: Float64Array,
  variance: Float64Array,
): Value {
  const c = mean.length;
  const one = (v: number, k: number): number =>
    ((v - mean[k]) / Math.sqrt(variance[k] + EPSILON)) * gamma.data[k] + beta.data[k];
  return { shape: x.shape, data: x.data.map((v, i) => one(v, i % c)) };
}

const affine = (c: number) => ({ gamma: uniform([c], 2, 0.5, 1.5), beta: uniform([c], 3) });

const training = (name: string, x: Value, more: Partial<OpCase> = {}): OpCase => ({
  name,
  inputs: { x, ...affine(x.shape.at(-1)!) },
  build: (t) => {
    const { y, mean, variance } = batchNorm2d(t.x, t.gamma, t.beta);
    return [y, mean, variance];
  },
  reference: (v) => {
    const { mean, variance } = statistics(v.x);
    const shape = [mean.length];
    return [normalized(v, mean, variance), { shape, data: mean }, { shape, data: variance }];
  },
  ...more,
});

/** Each row of an image lies `step` standard deviations or so beside the row before. */
function drifting(shape: Shape, step: number): Value {
  const { data } = uniform(shape, 1);
  const row = shape[2] * shape[3];
  return { shape, data: data.map((v, i) => Math.fround(v + (step * Math.floor(i / row)) / 1.7)) };
}

/** Of x, or of a multiple of it: the gradient of that is no output, and may take the place of dy. */
const output = (name: string, x: Value, factor = 1): OpCase => ({
  name: `y alone: ${name}`,
  inputs: { x, ...affine(x.shape.at(-1)!) },
  build: (t) => batchNorm2d(factor === 1 ? t.x : scale(t.x, factor), t.gamma, t.beta).y,
  reference: (v) => {
    const given = { shape: v.x.shape, data: v.x.data.map((e) => factor * e) };
    const { mean, variance } = statistics(given);
    return normalized({ ...v, x: given }, mean, variance);
  },
});

const inference = (name: string, shape: Shape): OpCase => {
  const c = shape.at(-1)!;
  return {
    name: `inference: ${name}`,
    inputs: { x: uniform(shape, 1), ...affine(c), mean: uniform([c], 4), variance: uniform([c], 5, 0.2, 2) },
    build: (t) => batchNorm2dInference(t.x, t.gamma, t.beta, t.mean, t.variance),
    reference: (v) => normalized(v, v.mean.data, v.variance.data),
    wrt: ["x", "gamma", "beta"],
  };
};

/** Rows whose only output is y, which an activation can join. */
export const layers: readonly OpCase[] = [
  output("five channels", uniform([2, 3, 3, 5], 1)),
  output("17 channels", uniform([2, 3, 4, 17], 1)),
  output("several chunks, 67 channels", uniform([2, 19, 9, 67], 1)),
  inference("five channels", [2, 4, 3, 5]),
  output("six channels of twice x", uniform([2, 3, 4, 6], 1), 2),
  output("several chunks, 130 channels of twice x", uniform([1, 19, 9, 130], 1), 2),
  { ...inference("70 channels, the gradient of x alone", [1, 2, 2, 70]), wrt: ["x"] },
  { ...output("six channels, no gradient of x", uniform([2, 3, 4, 6], 1)), wrt: ["gamma", "beta"] },
];

export const cases: OpCase[] = [
  training("six channels", uniform([2, 4, 5, 6], 1)),
  training("one channel, batch of one", uniform([1, 5, 3, 1], 1)),
  training("three channels", uniform([2, 3, 3, 3], 1)),
  training("17 channels", uniform([2, 3, 5, 17], 1)),
  training("vectors", uniform([7, 5], 1)),
  training("70 channels", uniform([2, 3, 2, 70], 1)),
  training("several chunks", uniform([3, 32, 31, 6], 1), { gradTolerance: 4e-3 }),
  training("several chunks, 67 channels", uniform([2, 19, 9, 67], 1)),
  training("mean far from zero", uniform([4, 16, 16, 3], 1, 999, 1001), { wrt: [], tolerance: 2e-4, onnx: false }),
  // within each chunk too: its first rows are far from the rest
  training("a mean that drifts", drifting([8, 40, 32, 3], 100), { wrt: [], tolerance: 2e-6, onnx: false }),
  training("a channel that never varies", given([2, 2, 1, 2], [3, 1, 3, 2, 3, 5, 3, 8]), { wrt: ["beta"] }),
  inference("six channels", [2, 4, 5, 6]),
  inference("one row", [1, 17]),
  inference("70 channels", [1, 2, 2, 70]),
  ...activated(layers),
];
