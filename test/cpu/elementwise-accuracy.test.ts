// Relative accuracy, where the rows of test/ops compare absolutely: in units in the last place of the float32 result, from
// denormals to overflow.
import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import type { Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { exp } from "../../lib/ops/exp.ts";
import { klGaussian } from "../../lib/ops/klGaussian.ts";
import { log } from "../../lib/ops/log.ts";
import { sigma2FromRho } from "../../lib/ops/sigma2FromRho.ts";
import { sigmoid } from "../../lib/ops/sigmoid.ts";
import { softplus } from "../../lib/ops/softplus.ts";
import { sum } from "../../lib/ops/sum.ts";
import { tanh } from "../../lib/ops/tanh.ts";
import { testDevice } from "../device.ts";
import { random } from "../ops/harness.ts";
import { softplusOf } from "../ops/softplus.ts";

const store = new Store(testDevice());
afterAll(() => store.close());

const N = 40_000;
const next = random(5);
const logistic = (x: number) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
const anyFloats = new Float32Array(Uint32Array.from({ length: N }, () => next() * 2 ** 32).buffer);
const between = (low: number, high: number) => Float32Array.from({ length: N }, () => low + next() * (high - low));
const run = (x: Float32Array, f: (x: Tensor) => Tensor): Float32Array => {
  using p = compile({ store }, { x: [x.length] }, (t) => ({ y: f(t.x) }));
  return p.run({ x }).y;
};

/** Error in units in the last place of `want`, rounded to float32; NaN must meet NaN and infinity infinity. */
function ulps(got: number, want: number): number {
  const rounded = Math.fround(want);
  if (Object.is(got, rounded) || got === rounded) return 0;
  const size = Math.abs(rounded);
  if (size === Infinity && Math.abs(want) < 3.4029e38) return got > 3.4e38 ? 0 : Infinity;
  const unit = size < 2 ** -126 ? 2 ** -149 : 2 ** (Math.floor(Math.log2(size)) - 23);
  return Math.abs(got - want) / unit;
}
function worst(x: Float32Array, f: (x: Tensor) => Tensor, reference: (x: number) => number): number {
  const y = run(x, f);
  return x.reduce((most, v, i) => {
    const e = ulps(y[i], reference(v));
    return Number.isNaN(e) || e > most ? e : most;
  }, 0);
}

describe("accuracy over every float32", () => {
  const functions: [string, (x: Tensor) => Tensor, (x: number) => number][] = [
    ["exp", exp, Math.exp],
    ["log", log, Math.log],
    ["tanh", tanh, Math.tanh],
    ["sigmoid", sigmoid, logistic],
    ["softplus", softplus, softplusOf],
  ];
  for (const [name, f, reference] of functions)
    it(`${name} is within 3 ulp`, () => {
      expect(worst(anyFloats, f, reference)).toBeLessThan(3);
      expect(worst(between(-104, 89), f, reference)).toBeLessThan(3);
      expect(worst(between(-2, 2), f, reference)).toBeLessThan(3);
    });
});

describe("sigma = softplus(rho) from rho = -100 to 100", () => {
  const rho = between(-100, 100);
  it("is positive and finite", () => {
    expect(run(rho, softplus).every((s) => s > 0 && s < Infinity)).toBe(true);
    expect(run(rho, sigma2FromRho).every((v) => v >= 0 && v < Infinity)).toBe(true);
  });
  it("the gradients of the variance and of the KL keep their digits", () => {
    const slope = (f: (x: Tensor) => Tensor) => run(rho, (x) => grad(sum(f(x)), [x])[0]);
    const variance = slope(sigma2FromRho);
    const kl = slope((x) => klGaussian(x, x, { priorMean: "tied", priorSigma: 0.1 }));
    let [worstVariance, worstKl] = [0, 0];
    rho.forEach((r, i) => {
      const [s, d] = [softplusOf(r), logistic(r)];
      worstVariance = Math.max(worstVariance, Math.abs(variance[i] - 2 * s * d) / (2 * s * d + 3e-39));
      // s / sp^2 - 1/s cancels at s = sp: relative to its terms
      worstKl = Math.max(worstKl, Math.abs(kl[i] - (s / 0.01 - 1 / s) * d) / ((s / 0.01 + 1 / s) * d));
    });
    expect(worstVariance).toBeLessThan(1e-6);
    expect(worstKl).toBeLessThan(1e-6);
  });
  it("KL grows by ln: -rho nats a weight for a posterior that closes", () => {
    const kl = run(new Float32Array(1000).fill(-90), (x) => klGaussian(x, x, { priorMean: "tied", priorSigma: 1 }))[0];
    expect(kl).toBeCloseTo(1000 * (90 - 0.5), 0);
  });
});

describe("long sums", () => {
  it("of a million equal numbers keep their digits", () => {
    const x = new Float32Array(2 ** 20).fill(0.1);
    const want = Math.fround(0.1) * 2 ** 20;
    expect(Math.abs(run(x, (t) => sum(t))[0] / want - 1)).toBeLessThan(64 * 2 ** -24); // 64 float32 additions in a row at most
  });
});
