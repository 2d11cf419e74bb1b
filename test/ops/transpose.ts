import { type Shape, sizeOf } from "../../lib/graph/node.ts";
import { transpose } from "../../lib/ops/transpose.ts";
import { type OpCase, uniform, type Value } from "./harness.ts";

/** The multi-index of element i of a tensor of this shape. */
export function indexOf(i: number, shape: Shape): number[] {
  const index = new Array<number>(shape.length);
  for (let a = shape.length - 1; a >= 0; a--) {
    index[a] = i % shape[a];
    i = Math.floor(i / shape[a]);
  }
  return index;
}
/** The number of the element at this multi-index. */
export const elementOf = (index: readonly number[], shape: Shape): number =>
  index.reduce((n, v, a) => n * shape[a] + v, 0);

/** A tensor of this shape, element by element from its multi-index. */
export const fill = (shape: Shape, f: (index: readonly number[]) => number): Value => ({
  shape,
  data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => f(indexOf(i, shape))),
});

const row = (name: string, shape: Shape, perm: readonly number[]): OpCase => ({
  name,
  inputs: { x: uniform(shape, 1) },
  build: (t) => transpose(t.x, perm),
  reference: ({ x }) =>
    fill(
      perm.map((p) => shape[p]),
      (to) => {
        const from: number[] = [];
        perm.forEach((p, i) => {
          from[p] = to[i];
        });
        return x.data[elementOf(from, shape)];
      },
    ),
});

export const cases: OpCase[] = [
  row("matrix", [3, 5], [1, 0]),
  row("large matrix, odd sizes", [131, 77], [1, 0]),
  row("nothing changes", [2, 3, 4], [0, 1, 2]),
  row("rank 3, last two", [2, 17, 9], [0, 2, 1]),
  row("rank 3, reversed", [4, 5, 6], [2, 1, 0]),
  row("images, height and width", [2, 3, 4, 6], [0, 2, 1, 3]),
  row("images, channels first", [2, 3, 4, 5], [0, 3, 1, 2]),
  row("images, dimensions of one", [1, 1, 7, 1], [0, 2, 3, 1]),
  row("rank 6", [2, 3, 2, 2, 3, 2], [0, 1, 4, 2, 5, 3]),
  row("rank 1", [9], [0]),
];
