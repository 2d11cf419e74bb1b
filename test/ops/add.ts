import { type Shape, sizeOf, type Tensor } from "../../lib/graph/node.ts";
import { add } from "../../lib/ops/add.ts";
import { given, type OpCase, uniform, type Value } from "./harness.ts";

/** Naive NumPy broadcasting: every output index, wrapped into each input. */
export function broadcast(a: Value, b: Value, f: (x: number, y: number) => number): Value {
  const rank = Math.max(a.shape.length, b.shape.length);
  const wide = (s: Shape) => [...new Array<number>(rank - s.length).fill(1), ...s];
  const [sa, sb] = [wide(a.shape), wide(b.shape)];
  const shape = sa.map((d, i) => (d === 1 ? sb[i] : d));
  const at = (v: Value, s: Shape, index: readonly number[]) =>
    v.data[s.reduce((o, d, i) => o * d + (d === 1 ? 0 : index[i]), 0)];
  const data = Float64Array.from({ length: sizeOf(shape) }, (_, flat) => {
    const index = new Array<number>(rank);
    for (let i = rank - 1, rest = flat; i >= 0; i--) [index[i], rest] = [rest % shape[i], Math.floor(rest / shape[i])];
    return f(at(a, sa, index), at(b, sb, index));
  });
  return { shape, data };
}

/** Pairs of shapes that take every path of the broadcasting kernels. */
const PAIRS: readonly (readonly [string, Shape, Shape])[] = [
  ["one element", [1], [1]],
  ["scalars", [], []],
  ["same shape", [3, 7], [3, 7]],
  ["same shape, several tasks", [3, 3001], [3, 3001]],
  ["scalar right", [2, 3, 5, 4], []],
  ["scalar left", [1], [17]],
  ["a bias over the last axis", [2, 3, 5, 7], [7]],
  ["a bias over the last axis, left", [3], [1000, 3]],
  ["a column", [5, 17], [5, 1]],
  ["outer", [6, 1], [1, 9]],
  ["leading", [4, 3, 5], [1, 3, 5]],
  ["middle", [2, 1, 5, 3], [2, 4, 1, 3]],
  ["lower rank inside", [2, 3, 4, 5], [3, 1, 5]],
  ["per image and channel", [2, 3, 3, 6], [2, 1, 1, 6]],
  ["rank 6", [2, 1, 2, 1, 2, 3], [1, 3, 1, 2, 1, 3]],
];

type Options = { a?: (s: Shape) => Value; b?: (s: Shape) => Value; rows?: Partial<OpCase> };
export const broadcastCases = (
  op: (a: Tensor, b: Tensor) => Tensor,
  f: (x: number, y: number) => number,
  options: Options = {},
): OpCase[] => [
  ...PAIRS.map(
    ([name, sa, sb]): OpCase => ({
      name,
      inputs: { a: (options.a ?? ((s) => uniform(s, 1)))(sa), b: (options.b ?? ((s) => uniform(s, 2)))(sb) },
      build: (t) => op(t.a, t.b),
      reference: (v) => broadcast(v.a, v.b, f),
      ...options.rows,
    }),
  ),
  {
    name: "a list",
    inputs: Object.fromEntries(
      [[5], [5], [3, 31], [3, 31], [], []].map((s, i) => [
        `x${i}`,
        i % 2 ? (options.b ?? ((s) => uniform(s, 2)))(s) : (options.a ?? ((s) => uniform(s, 1)))(s),
      ]),
    ),
    build: (t) => [op(t.x0, t.x1), op(t.x2, t.x3), op(t.x4, t.x5)],
    reference: (v) => [broadcast(v.x0, v.x1, f), broadcast(v.x2, v.x3, f), broadcast(v.x4, v.x5, f)],
    gradOutputs: [0, 1, 2],
    ...options.rows,
  },
];

/** A row of given pairs, forward only. */
export const pairCase = (
  name: string,
  op: (a: Tensor, b: Tensor) => Tensor,
  f: (x: number, y: number) => number,
  a: number[],
  b: number[],
): OpCase => ({
  name,
  inputs: { a: given([a.length], a), b: given([b.length], b) },
  build: (t) => op(t.a, t.b),
  reference: (v) => broadcast(v.a, v.b, f),
  wrt: [],
});

export const cases: OpCase[] = [
  ...broadcastCases(add, (x, y) => x + y),
  {
    name: "more than two terms, and a list of such sums",
    inputs: Object.fromEntries("abcdef".split("").map((k, i) => [k, uniform(i < 3 ? [3, 3001] : [7], i)])),
    build: ({ a, b, c, d, e, f }) => [add(add(a, b), c), add(d, add(e, f))],
    reference: ({ a, b, c, d, e, f }) =>
      [
        [a, b, c],
        [d, e, f],
      ].map(([x, y, z]) => ({ shape: x.shape, data: x.data.map((v, i) => v + y.data[i] + z.data[i]) })),
    gradOutputs: [0, 1],
  },
  pairCase("extremes", add, (x, y) => x + y, [Infinity, -Infinity, 1e30, 0], [1, 2, -1e30, -0]),
  {
    ...broadcastCases(add, (x) => x + 1.5)[5],
    name: "a number",
    inputs: { a: uniform([17], 1) },
    build: (t) => add(t.a, 1.5),
    reference: ({ a }) => broadcast(a, a, (x) => x + 1.5),
  },
];
