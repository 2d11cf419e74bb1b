import { binaryCrossEntropyWithLogits } from "../../lib/ops/binaryCrossEntropyWithLogits.ts";
import { given, type OpCase, uniform } from "./harness.ts";
import { softplusOf } from "./softplus.ts";

const row = (name: string, shape: readonly number[]): OpCase => ({
  name,
  inputs: { x: uniform(shape, 1, -4, 4), t: uniform(shape, 2, 0, 1) },
  build: (v) => binaryCrossEntropyWithLogits(v.x, v.t),
  reference: ({ x, t }) => ({ shape: x.shape, data: x.data.map((v, i) => softplusOf(v) - t.data[i] * v) }),
});

export const cases: OpCase[] = [
  row("one element", [1]),
  row("odd", [3, 17]),
  row("image", [2, 3, 5, 3]),
  {
    ...row("extremes", [1]),
    inputs: { x: given([6], [-100, -100, 100, 100, 0, 1000]), t: given([6], [0, 1, 0, 1, 0.5, 1]) },
  },
];
