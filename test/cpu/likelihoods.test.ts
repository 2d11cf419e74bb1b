import { readFileSync } from "node:fs";
import { afterAll, describe, expect, it } from "vitest";
import { grad } from "../../lib/autodiff/grad.ts";
import { compile } from "../../lib/graph/compile.ts";
import { constant, type Tensor } from "../../lib/graph/node.ts";
import { Store } from "../../lib/graph/store.ts";
import { trace } from "../../lib/graph/trace.ts";
import { likelihoodOf } from "../../lib/likelihoods/known.ts";
import type { LikelihoodConfig } from "../../lib/likelihoods/shared/likelihood.ts";
import { mul } from "../../lib/ops/mul.ts";
import { sum } from "../../lib/ops/sum.ts";
import { testDevice } from "../device.ts";

/**
 * Negative log-likelihoods, and their gradients with respect to the output and the learned scale, against PyTorch float64
 * (test/golden/README.md), for three Monte-Carlo samples that share their targets.
 */
interface Case {
  readonly name: string;
  readonly likelihood: LikelihoodConfig & { readonly center?: readonly number[]; readonly spread?: readonly number[] };
  readonly outputShape: readonly number[];
  readonly nll: readonly number[];
  readonly gradient: readonly number[];
  /** Drawn, as seed, lowest and highest value: the output, targets as they are or in units of the spread; or given. */
  readonly output?: readonly [number, number, number];
  readonly target?: readonly [number, number, number];
  readonly unit?: readonly [number, number, number];
  readonly outputs?: readonly number[];
  readonly targets?: readonly number[];
  readonly classes?: readonly number[];
  readonly targetShape?: readonly number[];
  /** Of each number along the last axis. */
  readonly logScale?: readonly number[];
  readonly scaleGradient?: readonly number[];
}
const golden = JSON.parse(readFileSync(new URL("../golden/likelihoods.json", import.meta.url), "utf8")) as {
  readonly samples: number;
  readonly batch: number;
  readonly cases: readonly Case[];
};
const { samples, batch, cases } = golden;

/** The generator of likelihoods.py. */
function draw(size: number, [seed, low, high]: readonly [number, number, number]): Float32Array {
  let state = seed;
  return Float32Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return low + (state / 2 ** 32) * (high - low);
  });
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

function inputs(c: Case): { output: Float32Array; targets: Float32Array | Int32Array; shape: readonly number[] } {
  const output = c.outputs ? Float32Array.from(c.outputs) : draw(product(c.outputShape), c.output!);
  if (c.classes) return { output, targets: Int32Array.from(c.classes), shape: [batch] };
  const shape = [batch, ...(c.targetShape ?? c.outputShape.slice(1))];
  if (c.targets) return { output, targets: Float32Array.from(c.targets), shape };
  const targets = draw(product(shape), c.target ?? c.unit!);
  const { center, spread } = c.likelihood;
  if (c.unit && center && spread)
    targets.forEach((v, i) => {
      targets[i] = v * spread[i % spread.length] + center[i % center.length];
    });
  return { output, targets, shape };
}

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((m, x) => Math.max(m, Math.abs(x)), 0);

/** Largest difference, in units of the largest reference value. */
function distance(got: ArrayLike<number>, want: ArrayLike<number>): number {
  expect(got.length).toBe(want.length);
  return largest(Array.from(got, (x, i) => x - want[i])) / largest(want);
}

/**
 * Float32: a mean, a difference, a quotient, a square and a sum in a tree, each within 2^-24 = 6e-8 of its own size. What
 * amplifies it is the difference target - mean: the cases have |mean| <= 110 and differences of the order of 20, so its
 * relative error is up to five roundings of the mean. Twenty roundings, 1.2e-6, of the largest value are the bound.
 */
const TOLERANCE = 20 * 2 ** -24;

const stores: Store[] = [];
afterAll(() => stores.map((store) => store.close()));

function run(c: Case): { nll: Float32Array; gradient: Float32Array; scaleGradient?: Float32Array } {
  const store = new Store(testDevice());
  stores.push(store);
  const likelihood = likelihoodOf(c.likelihood);
  const { output, targets, shape } = inputs(c);
  const rows = samples * batch;
  const weights = constant(Float32Array.from({ length: rows }, (_, r) => (r + 1) / 4));
  const shares = Float32Array.from(
    { length: 16 * (c.logScale?.length ?? 0) },
    (_, i) => c.logScale![i % c.logScale!.length] / 16,
  );
  if (c.logScale) store.define("likelihood/logScale", [16, c.logScale.length], { trainable: true, init: () => shares });
  const dtype = targets instanceof Int32Array ? ("i32" as const) : ("f32" as const);
  using program = compile(
    { store },
    { output: [...c.outputShape], targets: { shape, dtype } },
    ({ output, targets }) => {
      const nll = likelihood.nll(output, targets);
      const loss = sum(mul(nll, weights));
      const [gradient, scaleGradient] = grad(loss, [output, ...trace().parameters.values()]);
      return { nll, gradient, ...(scaleGradient ? { scaleGradient } : {}) } as Record<string, Tensor>;
    },
  );
  return program.run({ output, targets }) as ReturnType<typeof run>;
}

describe("the golden likelihoods", () => {
  for (const c of cases)
    it(c.name, () => {
      const got = run(c);
      expect(got.nll).toHaveLength(samples * batch);
      expect(distance(got.nll, c.nll)).toBeLessThan(TOLERANCE);
      expect(distance(got.gradient, c.gradient)).toBeLessThan(TOLERANCE);
      // the shares, of which the logarithm is the sum, all have its gradient
      if (c.scaleGradient)
        expect(distance(got.scaleGradient!, Array(16).fill(c.scaleGradient).flat())).toBeLessThan(TOLERANCE);
    });
});
