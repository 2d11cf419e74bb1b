import { klGaussian } from "../../lib/ops/klGaussian.ts";
import { bits, given, type OpCase, uniform, type Value } from "./harness.ts";
import { softplusOf } from "./softplus.ts";

/** KL(N(mu, s^2) || N(mp, sp^2)). */
export const klOf = (mu: number, s: number, mp: number, sp: number): number =>
  Math.log(sp / s) + (s * s + (mu - mp) ** 2) / (2 * sp * sp) - 0.5;
const total = (n: number, term: (i: number) => number): Value => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += term(i);
  return { shape: [], data: Float64Array.of(sum) };
};

const weights = (n: number) => ({ mu: uniform([n], 1), rho: uniform([n], 2, -6, 1) });
const row = (name: string, n: number, mp: number, sp: number): OpCase => ({
  name,
  inputs: weights(n),
  build: ({ mu, rho }) => klGaussian(mu, rho, { priorMean: mp, priorSigma: sp }),
  reference: ({ mu, rho }) => total(mu.data.length, (i) => klOf(mu.data[i], softplusOf(rho.data[i]), mp, sp)),
});

export const cases: OpCase[] = [
  row("one weight", 1, 0, 0.1),
  row("17 weights, N(0, 1)", 17, 0, 1),
  row("off-centre prior", 1000, 0.3, 0.5),
  { ...row("several chunks", 9001, 0, 1), wrt: ["mu"] },
  {
    ...row("a conv weight", 1, 0, 0.1),
    inputs: { mu: uniform([3, 3, 2, 5], 1), rho: uniform([3, 3, 2, 5], 2, -6, 1) },
  },
  {
    ...row("tied mean", 17, 0, 0.2),
    build: ({ mu, rho }) => klGaussian(mu, rho, { priorMean: "tied", priorSigma: 0.2 }),
    reference: ({ rho }) => total(rho.data.length, (i) => klOf(0, softplusOf(rho.data[i]), 0, 0.2)),
    wrt: ["rho"],
  },
  {
    ...row("prior given per weight", 33, 0, 1),
    inputs: { ...weights(33), mp: uniform([33], 3), sp: uniform([33], 4, 0.2, 2) },
    build: ({ mu, rho, mp, sp }) => klGaussian(mu, rho, { priorMean: mp, priorSigma: sp }),
    reference: ({ mu, rho, mp, sp }) =>
      total(33, (i) => klOf(mu.data[i], softplusOf(rho.data[i]), mp.data[i], sp.data[i])),
    wrt: ["mu", "rho"],
  },
  {
    ...row("prior sigma given per weight", 7, 0, 1),
    inputs: { ...weights(7), sp: uniform([7], 4, 0.2, 2) },
    build: ({ mu, rho, sp }) => klGaussian(mu, rho, { priorMean: 0.5, priorSigma: sp }),
    reference: ({ mu, rho, sp }) => total(7, (i) => klOf(mu.data[i], softplusOf(rho.data[i]), 0.5, sp.data[i])),
    wrt: ["mu", "rho"],
  },
  {
    ...row("masked", 600, 0.3, 0.5),
    inputs: { ...weights(600), mask: bits(600) },
    build: ({ mu, rho, mask }) => klGaussian(mu, rho, { priorMean: 0.3, priorSigma: 0.5, mask }),
    reference: ({ mu, rho, mask }) =>
      total(600, (i) => (mask.data[i] ? klOf(mu.data[i], softplusOf(rho.data[i]), 0.3, 0.5) : 0)),
    wrt: ["mu", "rho"],
  },
  {
    ...row("masked, prior given per weight", 33, 0, 1),
    inputs: { ...weights(33), mp: uniform([33], 3), sp: uniform([33], 4, 0.2, 2), mask: bits(33) },
    build: ({ mu, rho, mp, sp, mask }) => klGaussian(mu, rho, { priorMean: mp, priorSigma: sp, mask }),
    reference: ({ mu, rho, mp, sp, mask }) =>
      total(33, (i) => (mask.data[i] ? klOf(mu.data[i], softplusOf(rho.data[i]), mp.data[i], sp.data[i]) : 0)),
    wrt: ["mu", "rho"],
  },
  {
    ...row("all masked away", 17, 0, 0.1),
    inputs: { ...weights(17), mask: given([17], new Array(17).fill(0)) },
    build: ({ mu, rho, mask }) => klGaussian(mu, rho, { priorMean: "tied", priorSigma: 0.1, mask }),
    reference: () => total(0, () => 0),
    wrt: ["mu", "rho"],
    tolerance: 0,
    gradTolerance: 0,
  },
  {
    ...row("extremes of rho", 4, 0, 0.1),
    inputs: { mu: given([4], [0, 1, -1, 0.5]), rho: given([4], [-100, -100, 100, 50]) },
    // Softplus of ONNX Runtime underflows to 0 at rho = -100
    onnx: false,
  },
];
