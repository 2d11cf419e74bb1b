import { logNormalSum } from "../../lib/ops/logNormalSum.ts";
import { bits, type OpCase, uniform, type Value } from "./harness.ts";

export const logNormalOf = (w: number, mean: number, sigma: number): number =>
  -0.5 * Math.log(2 * Math.PI) - Math.log(sigma) - (w - mean) ** 2 / (2 * sigma * sigma);
export const sumOver = (w: Value, term: (v: number, i: number) => number): Value => {
  let sum = 0;
  w.data.forEach((v, i) => {
    sum += term(v, i);
  });
  return { shape: [], data: Float64Array.of(sum) };
};

const row = (name: string, n: number): OpCase => ({
  name,
  inputs: { w: uniform([n], 1) },
  build: ({ w }) => logNormalSum(w, 0.1, 0.7),
  reference: ({ w }) => sumOver(w, (v) => logNormalOf(v, 0.1, 0.7)),
  onnx: false,
});

export const cases: OpCase[] = [
  row("one weight", 1),
  row("17 weights", 17),
  row("several chunks", 9001),
  {
    ...row("mean and sigma as tensors", 33),
    inputs: { w: uniform([33], 1), m: uniform([33], 2), s: uniform([33], 3, 0.3, 2) },
    build: ({ w, m, s }) => logNormalSum(w, m, s),
    reference: ({ w, m, s }) => sumOver(w, (v, i) => logNormalOf(v, m.data[i], s.data[i])),
  },
  {
    ...row("masked", 600),
    inputs: { w: uniform([600], 1), mask: bits(600) },
    build: ({ w, mask }) => logNormalSum(w, 0.1, 0.7, mask),
    reference: ({ w, mask }) => sumOver(w, (v, i) => (mask.data[i] ? logNormalOf(v, 0.1, 0.7) : 0)),
    wrt: ["w"],
  },
  {
    ...row("masked, mean and sigma as tensors", 33),
    inputs: { w: uniform([33], 1), m: uniform([33], 2), s: uniform([33], 3, 0.3, 2), mask: bits(33) },
    build: ({ w, m, s, mask }) => logNormalSum(w, m, s, mask),
    reference: ({ w, m, s, mask }) => sumOver(w, (v, i) => (mask.data[i] ? logNormalOf(v, m.data[i], s.data[i]) : 0)),
    wrt: ["w", "m", "s"],
  },
  {
    ...row("sigma as a tensor", 7),
    inputs: { w: uniform([7], 1), s: uniform([7], 3, 0.3, 2) },
    build: ({ w, s }) => logNormalSum(w, 0, s),
    reference: ({ w, s }) => sumOver(w, (v, i) => logNormalOf(v, 0, s.data[i])),
  },
];
