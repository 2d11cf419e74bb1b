import { type Shape, sizeOf } from "../../lib/graph/node.ts";
import { transpose } from "../../lib/ops/transpose.ts";
import { type OpCase, uniform, type Value } from "./harness.ts";

/** The number of the element at this multi-index. */
export function elementOf(index: readonly number[], shape: Shape): number {
  let n = 0;
  for (let a = 0; a < shape.length; a++) n = n * shape[a] + index[a];
  return n;
}

/** A tensor of this shape, element by element from its multi-index (valid during the call only). */
export function fill(shape: Shape, f: (index: readonly number[]) => number): Value {
  const index = new Array<number>(shape.length).fill(0);
  const data = new Float64Array(sizeOf(shape));
  for (let i = 0; i < data.length; i++) {
    data[i] = f(index);
    for (let a = shape.length - 1; a >= 0 && ++index[a] === shape[a]; a--) index[a] = 0;
  }
  return { shape, data };
}

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
