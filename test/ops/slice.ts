import type { Shape } from "../../lib/graph/node.ts";
import { pad, slice } from "../../lib/ops/slice.ts";
import { type OpCase, uniform } from "./harness.ts";
import { elementOf, fill } from "./transpose.ts";

const cut = (name: string, shape: Shape, starts: readonly number[], sizes: readonly number[]): OpCase => ({
  name,
  inputs: { x: uniform(shape, 1) },
  build: (t) => slice(t.x, starts, sizes),
  reference: ({ x }) =>
    fill(
      sizes,
      (to) =>
        x.data[
          elementOf(
            to.map((d, i) => d + starts[i]),
            shape,
          )
        ],
    ),
});
const around = (name: string, shape: Shape, before: readonly number[], after: readonly number[]): OpCase => ({
  name,
  inputs: { x: uniform(shape, 1) },
  build: (t) => pad(t.x, before, after),
  reference: ({ x }) =>
    fill(
      shape.map((d, i) => before[i] + d + after[i]),
      (to) => {
        const from = to.map((d, i) => d - before[i]);
        return from.every((d, i) => d >= 0 && d < shape[i]) ? x.data[elementOf(from, shape)] : 0;
      },
    ),
});

export const cases: OpCase[] = [
  cut("channels", [2, 3, 4, 6], [0, 0, 0, 2], [2, 3, 4, 3]),
  cut("a crop", [1, 7, 9, 3], [0, 2, 1, 0], [1, 4, 5, 3]),
  cut("batch", [4, 17], [1, 0], [2, 17]),
  cut("everything", [2, 3], [0, 0], [2, 3]),
  cut("one element", [3, 3, 3], [1, 2, 0], [1, 1, 1]),
  cut("several tasks", [4, 40, 40, 6], [1, 3, 0, 1], [3, 33, 40, 5]),
  around("padded: a frame of zeros", [2, 3, 4, 3], [0, 1, 2, 0], [0, 1, 0, 0]),
  around("padded: channels", [1, 2, 2, 6], [0, 0, 0, 1], [0, 0, 0, 4]),
  around("padded: nothing", [2, 5], [0, 0], [0, 0]),
  around("padded: rank 1", [3], [2], [1]),
];
