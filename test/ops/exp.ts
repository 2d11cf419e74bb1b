import type { Tensor } from "../../lib/graph/node.ts";
import { exp } from "../../lib/ops/exp.ts";
import { given, map, type OpCase, uniform } from "./harness.ts";

type Extra = { low?: number; high?: number; extremes?: readonly number[]; rows?: Partial<OpCase> };

/** Rows of an elementwise function: odd sizes, an image, and extremes (forward only, rounded to float32). */
export function unaryCases(f: (x: Tensor) => Tensor, reference: (x: number) => number, extra: Extra = {}): OpCase[] {
  const { low = -2, high = 2, extremes = [], rows } = extra;
  const row = (name: string, shape: readonly number[], seed: number): OpCase => ({
    name,
    inputs: { x: uniform(shape, seed, low, high) },
    build: ({ x }) => f(x),
    reference: ({ x }) => map(x, reference),
    ...rows,
  });
  const cases: OpCase[] = [
    row("one element", [1], 1),
    row("scalar", [], 2),
    row("7", [7], 3),
    row("17", [17], 4),
    row("image", [2, 3, 5, 4], 5),
    row("several tasks", [3, 6001], 6),
    {
      ...row("a list", [1], 7),
      inputs: { a: uniform([5], 8, low, high), b: uniform([3, 17], 9, low, high), c: uniform([], 10, low, high) },
      build: ({ a, b, c }) => [f(a), f(b), f(c)],
      reference: ({ a, b, c }) => [a, b, c].map((v) => map(v, reference)),
      gradOutputs: [0, 1, 2],
    },
  ];
  if (extremes.length)
    cases.push({
      ...row("extremes", [1], 1),
      inputs: { x: given([extremes.length], extremes) },
      reference: ({ x }) => map(x, (v) => Math.fround(reference(v))),
      wrt: [],
    });
  return cases;
}

export const cases = unaryCases(exp, Math.exp, {
  extremes: [-Infinity, -1e30, -104.5, -103, -100, -87.5, -1e-40, -0, 0, 1e-40, 1, 88.5, 89, 100, 1e30, Infinity, NaN],
});
