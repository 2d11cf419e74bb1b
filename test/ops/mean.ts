import { mean } from "../../lib/ops/mean.ts";
import { map, type OpCase, uniform } from "./harness.ts";
import { reduce } from "./sum.ts";

export const cases: OpCase[] = [
  {
    name: "all",
    inputs: { x: uniform([2, 17], 1) },
    build: (t) => mean(t.x),
    reference: ({ x }) => map(reduce(x, [0, 1], false), (v) => v / 34),
  },
  {
    name: "height and width",
    inputs: { x: uniform([2, 3, 5, 4], 2) },
    build: (t) => mean(t.x, [1, 2], { keepdims: true }),
    reference: ({ x }) => map(reduce(x, [1, 2], true), (v) => v / 15),
  },
];
