import { leakyRelu } from "../../lib/ops/leakyRelu.ts";
import { awayFromZero, given, map, type OpCase } from "./harness.ts";

const row = (name: string, shape: readonly number[], slope: number): OpCase => ({
  name,
  inputs: { x: awayFromZero(shape, 1) },
  build: ({ x }) => leakyRelu(x, slope),
  reference: ({ x }) => map(x, (v) => (v > 0 ? v : slope * v)),
});

export const cases: OpCase[] = [
  row("slope 0.2", [17], 0.2),
  row("slope 0", [2, 3, 5, 3], 0),
  row("negative slope", [7], -0.5),
  { ...row("extremes", [1], 0.01), inputs: { x: given([5], [-Infinity, -1e30, 0, 1e30, Infinity]) }, wrt: [] },
];
