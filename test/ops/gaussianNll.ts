import { gaussianNll } from "../../lib/ops/gaussianNll.ts";
import { given, type OpCase, uniform } from "./harness.ts";

const row = (name: string, shape: readonly number[]): OpCase => ({
  name,
  inputs: { mean: uniform(shape, 1), logVar: uniform(shape, 2, -2, 2), target: uniform(shape, 3) },
  build: (v) => gaussianNll(v.mean, v.logVar, v.target),
  reference: ({ mean, logVar, target }) => ({
    shape: mean.shape,
    data: mean.data.map(
      (m, i) => 0.5 * (Math.log(2 * Math.PI) + logVar.data[i] + (target.data[i] - m) ** 2 / Math.exp(logVar.data[i])),
    ),
  }),
});

export const cases: OpCase[] = [
  row("one element", [1]),
  row("odd", [3, 17]),
  row("image", [2, 3, 5, 3]),
  {
    ...row("wide and narrow", [1]),
    inputs: { mean: given([3], [0, 1, 1]), logVar: given([3], [80, -20, 0]), target: given([3], [5, 1, 1]) },
  },
];
