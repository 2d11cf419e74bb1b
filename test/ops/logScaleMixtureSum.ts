import { logScaleMixtureSum } from "../../lib/ops/logScaleMixtureSum.ts";
import { bits, given, type OpCase, uniform } from "./harness.ts";
import { logNormalOf, sumOver } from "./logNormalSum.ts";

const row = (name: string, n: number, pi: number, sigma1: number, sigma2: number, masked = false): OpCase => ({
  name,
  inputs: { w: uniform([n], 1), ...(masked ? { mask: bits(n) } : {}) },
  build: ({ w, mask }) => logScaleMixtureSum(w, { pi, sigma1, sigma2 }, mask),
  wrt: ["w"],
  reference: ({ w, mask }) =>
    sumOver(w, (v, i) => {
      if (mask?.data[i] === 0) return 0;
      const a = Math.log(pi) + logNormalOf(v, 0, sigma1);
      const b = Math.log(1 - pi) + logNormalOf(v, 0, sigma2);
      return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
    }),
  onnx: false,
});

export const cases: OpCase[] = [
  row("one weight", 1, 0.5, 1, 0.1),
  row("Blundell's defaults", 17, 0.25, 1, Math.exp(-6)),
  row("several chunks", 9001, 0.5, 1, 0.3),
  row("masked", 600, 0.5, 1, 0.3, true),
  row("pi = 1: one Gaussian", 7, 1, 0.5, 0.1),
  row("pi = 0: the other", 7, 0, 0.5, 0.7),
  {
    ...row("far out and at zero", 3, 0.5, 1, 0.002),
    inputs: { w: given([4], [0, 1e-4, 30, -1000]) },
    gradTolerance: 5e-3,
  },
];
