import { linear } from "../../lib/ops/linear.ts";
import { addBias, conv } from "./conv2d.ts";
import { activated, type OpCase, uniform, type Value } from "./harness.ts";

/** [name, [N, in], [in, out], bias] */
export const sizes: readonly (readonly [string, readonly number[], readonly number[], boolean?])[] = [
  ["one number", [1, 1], [1, 1]],
  ["LeNet's last layer", [3, 84], [84, 10], true],
  ["a batch of 1", [1, 120], [120, 84], true],
  ["a batch of 33, in odd blocks", [33, 37], [37, 41], true],
  ["one output", [5, 19], [19, 1]],
  ["inputs in several chunks", [4, 1601], [1601, 18], true],
  ["images in lanes", [30, 84], [84, 10], true],
];

/** Naive x w in float64. */
export function matmul(x: Value, w: Value): Value {
  const images = { shape: [x.shape[0], 1, 1, x.shape[1]], data: x.data };
  const y = conv(images, { shape: [1, 1, ...w.shape], data: w.data }, {});
  return { shape: [x.shape[0], w.shape[1]], data: y.data };
}

const plain: OpCase[] = sizes.map(([name, x, w, bias], i) => ({
  name,
  inputs: { x: uniform(x, 10 * i), w: uniform(w, 10 * i + 1), ...(bias && { b: uniform([w[1]], 10 * i + 2) }) },
  build: (t) => linear(t.x, t.w, t.b),
  reference: (v) => addBias(matmul(v.x, v.w), v.b),
  ...(x[1] > 1000 && { wrt: ["w"], tolerance: 2e-5 }), // a long sum in float32, and a slow reference
}));

export const cases: OpCase[] = [...plain, ...activated([0, 1, 3, 4].map((i) => plain[i]))];
