import { logPosteriorSum } from "../../lib/ops/logPosteriorSum.ts";
import { sigma2FromRho } from "../../lib/ops/sigma2FromRho.ts";
import { bits, given, type OpCase, uniform } from "./harness.ts";
import { logNormalOf, sumOver } from "./logNormalSum.ts";
import { softplusOf } from "./softplus.ts";

const row = (name: string, n: number): OpCase => ({
  name,
  inputs: { v: uniform([n], 1, 0.1, 2), eps: uniform([n], 2) },
  build: ({ v, eps }) => logPosteriorSum(v, eps),
  reference: ({ v, eps }) =>
    sumOver(v, (s2, i) => logNormalOf(Math.sqrt(Math.max(s2, 1e-20)) * eps.data[i], 0, Math.sqrt(Math.max(s2, 1e-20)))),
  wrt: ["v"],
  onnx: false,
});

export const cases: OpCase[] = [
  row("one weight", 1),
  row("17 weights", 17),
  row("several chunks", 9001),
  {
    ...row("masked", 600),
    inputs: { v: uniform([600], 1, 0.1, 2), eps: uniform([600], 2), mask: bits(600) },
    build: ({ v, eps, mask }) => logPosteriorSum(v, eps, mask),
    reference: ({ v, eps, mask }) =>
      sumOver(v, (s2, i) => (mask.data[i] ? logNormalOf(Math.sqrt(s2) * eps.data[i], 0, Math.sqrt(s2)) : 0)),
  },
  { ...row("held at 1e-20", 3), inputs: { v: given([3], [0, 1e-30, 1e-19]), eps: given([3], [0, 1, -1]) }, wrt: [] },
  {
    ...row("from rho", 9),
    inputs: { v: uniform([9], 1, -8, 1), eps: uniform([9], 2) },
    build: ({ v, eps }) => logPosteriorSum(sigma2FromRho(v), eps),
    reference: ({ v, eps }) => sumOver(v, (rho, i) => logNormalOf(softplusOf(rho) * eps.data[i], 0, softplusOf(rho))),
  },
];
