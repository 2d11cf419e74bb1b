import { clip } from "../../lib/ops/clip.ts";
import { given, map, type OpCase, uniform } from "./harness.ts";

const row = (name: string, shape: readonly number[], min: number, max: number): OpCase => ({
  name,
  inputs: { x: uniform(shape, 3) },
  build: ({ x }) => clip(x, min, max),
  reference: ({ x }) => map(x, (v) => Math.min(Math.max(v, Math.fround(min)), Math.fround(max))),
});

export const cases: OpCase[] = [
  row("both sides", [1000], -0.3, 0.4),
  row("one value", [2, 3, 5, 3], 0.25, 0.25),
  { ...row("extremes", [1], -1, 1), inputs: { x: given([5], [-Infinity, -1, 0, 1, Infinity]) }, wrt: [] },
  {
    ...row("a NaN stays", [1], -1, 1),
    inputs: { x: given([2], [Number.NaN, 3]) },
    reference: ({ x }) => map(x, (v) => Math.min(v, 1)),
    wrt: [],
    onnx: false,
  },
];
