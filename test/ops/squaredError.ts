import { meanSquaredError, squaredError } from "../../lib/ops/squaredError.ts";
import { type OpCase, uniform } from "./harness.ts";

const row = (name: string, shape: readonly number[]): OpCase => ({
  name,
  inputs: { y: uniform(shape, 1), t: uniform(shape, 2) },
  build: (v) => squaredError(v.y, v.t),
  reference: ({ y, t }) => ({ shape, data: y.data.map((v, i) => (v - t.data[i]) ** 2) }),
});

export const cases: OpCase[] = [
  row("one element", [1]),
  row("odd", [3, 17]),
  {
    ...row("a list", [3, 17]),
    inputs: { y: uniform([3, 17], 1), t: uniform([3, 17], 2), z: uniform([91], 3), u: uniform([91], 4) },
    build: (v) => [squaredError(v.y, v.t), squaredError(v.z, v.u)],
    reference: ({ y, t, z, u }) =>
      [
        [y, t],
        [z, u],
      ].map(([a, b]) => ({ shape: a.shape, data: a.data.map((v, i) => (v - b.data[i]) ** 2) })),
    gradOutputs: [0, 1],
  },
  row("image", [2, 3, 5, 3]),
  {
    ...row("mean", [2, 7]),
    build: (v) => meanSquaredError(v.y, v.t),
    reference: ({ y, t }) => ({
      shape: [],
      data: Float64Array.of(y.data.reduce((s, v, i) => s + (v - t.data[i]) ** 2, 0) / 14),
    }),
  },
];
