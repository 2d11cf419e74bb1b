import { add } from "../../lib/ops/add.ts";
import { klGaussian } from "../../lib/ops/klGaussian.ts";
import { mul } from "../../lib/ops/mul.ts";
import { sum } from "../../lib/ops/sum.ts";
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
/** Two parameters, of several chunks and of a few weights; masked or with a prior per weight, where `prior` has inputs. */
const list = (name: string, prior: "constant" | "masked" | "given"): OpCase => {
  const more = (n: number): Record<string, Value> =>
    prior === "masked"
      ? { mask: bits(n) }
      : prior === "given"
        ? { priorMean: uniform([n], 3), priorSigma: uniform([n], 4, 0.2, 2) }
        : {};
  const of = (n: number, at: string) =>
    Object.entries({ ...weights(n), ...more(n) }).map(([key, value]) => [`${key}${at}`, value] as const);
  const args = <T>(t: Readonly<Record<string, T>>, at: string) =>
    Object.fromEntries(Object.keys(more(1)).map((key) => [key, t[`${key}${at}`]]));
  const one = (v: Readonly<Record<string, Value>>, at: string): number => {
    const { mask, priorMean, priorSigma } = args(v, at);
    return total(v[`mu${at}`].data.length, (i) => {
      if (mask?.data[i] === 0) return 0;
      const [mu, s] = [v[`mu${at}`].data[i], softplusOf(v[`rho${at}`].data[i])];
      return klOf(mu, s, priorMean?.data[i] ?? 0, priorSigma?.data[i] ?? 0.1);
    }).data[0];
  };
  return {
    name,
    inputs: Object.fromEntries([...of(9001, ""), ...of(5, "2")]),
    build: (t) => add(klGaussian(t.mu, t.rho, args(t, "")), klGaussian(t.mu2, t.rho2, args(t, "2"))),
    reference: (v) => ({ shape: [], data: Float64Array.of(one(v, "") + one(v, "2")) }),
    wrt: ["mu", "rho", "mu2", "rho2"],
    onnx: false, // the export gives the first axis of all inputs one name
  };
};

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
  list("a list", "constant"),
  list("a list, masked", "masked"),
  list("a list, prior given per weight", "given"),
  {
    ...row("a gradient that is added to another", 600, 0.3, 0.5),
    build: ({ mu, rho }) => add(klGaussian(mu, rho, { priorMean: 0.3, priorSigma: 0.5 }), sum(mul(mu, rho))),
    reference: ({ mu, rho }) =>
      total(600, (i) => klOf(mu.data[i], softplusOf(rho.data[i]), 0.3, 0.5) + mu.data[i] * rho.data[i]),
  },
  {
    ...row("a list whose gradients are added to others, masked", 600, 0.3, 0.5),
    inputs: { ...weights(600), mask: bits(600), mu2: uniform([7], 5), rho2: uniform([7], 6), mask2: bits(7) },
    build: ({ mu, rho, mask, mu2, rho2, mask2 }) =>
      add(
        add(klGaussian(mu, rho, { mask }), klGaussian(mu2, rho2, { mask: mask2 })),
        add(sum(mul(mu, rho)), sum(mul(mu2, rho2))),
      ),
    reference: ({ mu, rho, mask, mu2, rho2, mask2 }) => {
      const part = (mu: Value, rho: Value, mask: Value) =>
        total(
          mu.data.length,
          (i) => mask.data[i] * klOf(mu.data[i], softplusOf(rho.data[i]), 0, 0.1) + mu.data[i] * rho.data[i],
        );
      return total(1, () => part(mu, rho, mask).data[0] + part(mu2, rho2, mask2).data[0]);
    },
    wrt: ["mu", "rho", "mu2", "rho2"],
    onnx: false, // the export gives the first axis of all inputs one name
  },
  {
    ...row("extremes of rho", 4, 0, 0.1),
    inputs: { mu: given([4], [0, 1, -1, 0.5]), rho: given([4], [-100, -100, 100, 50]) },
    // Softplus of ONNX Runtime underflows to 0 at rho = -100
    onnx: false,
  },
];
