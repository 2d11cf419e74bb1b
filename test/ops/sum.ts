import { type Shape, sizeOf } from "../../lib/graph/node.ts";
import { type ReduceOptions, sum, sumTo } from "../../lib/ops/sum.ts";
import { type OpCase, uniform, type Value } from "./harness.ts";

/** Naive reduction over axes. */
export function reduce(x: Value, axes: readonly number[], keepdims: boolean): Value {
  const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d));
  const data = new Float64Array(sizeOf(kept));
  x.data.forEach((v, flat) => {
    let [to, stride, rest] = [0, 1, flat];
    for (let i = x.shape.length - 1; i >= 0; i--) {
      const k = rest % x.shape[i];
      rest = Math.floor(rest / x.shape[i]);
      if (!axes.includes(i)) [to, stride] = [to + k * stride, stride * x.shape[i]];
    }
    data[to] += v;
  });
  return { shape: keepdims ? kept : x.shape.filter((_, i) => !axes.includes(i)), data };
}

const row = (name: string, shape: Shape, axes?: number | readonly number[], options: ReduceOptions = {}): OpCase => {
  const list = (axes === undefined ? shape.map((_, i) => i) : [axes].flat()).map((a) => (a < 0 ? a + shape.length : a));
  return {
    name,
    inputs: { x: uniform(shape, 1) },
    build: (t) => sum(t.x, axes, options),
    reference: ({ x }) => reduce(x, list, options.keepdims ?? false),
  };
};

export const cases: OpCase[] = [
  row("one element", [1]),
  row("all of 17", [17]),
  row("all of an image", [2, 3, 5, 4]),
  row("all, kept", [2, 7], undefined, { keepdims: true }),
  row("rows", [5, 17], -1),
  row("columns", [5, 17], 0),
  row("height and width", [2, 3, 5, 4], [1, 2]),
  row("height and width, kept", [2, 3, 5, 4], [1, 2], { keepdims: true }),
  row("width only", [2, 3, 5, 4], 2),
  row("two groups of axes", [2, 3, 5, 4], [0, 2]),
  row("batch and channels, kept", [2, 3, 5, 4], [0, -1], { keepdims: true }),
  row("rank 5", [2, 3, 2, 2, 3], [2, 3]),
  row("one long row", [30011]),
  row("long rows", [3, 9001], 1),
  row("many short rows", [9001, 3], 1),
  row("a bias gradient", [9000, 3], 0),
  row("wide columns", [200, 261], 0),
  row("images in several chunks", [3, 5003, 7], 1),
  row("many small images", [1501, 5, 6], 1),
  row("no axis", [3, 4], []),
  {
    name: "sumTo a column of channels",
    inputs: { x: uniform([2, 3, 4, 5], 2) },
    build: (t) => sumTo(t.x, [4, 1]),
    reference: ({ x }) => ({ ...reduce(x, [0, 1, 3], false), shape: [4, 1] }),
  },
];
