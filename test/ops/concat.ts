import type { Shape } from "../../lib/graph/node.ts";
import { concat } from "../../lib/ops/concat.ts";
import { type OpCase, uniform } from "./harness.ts";
import { elementOf, fill } from "./transpose.ts";

const row = (name: string, shapes: readonly Shape[], axis: number): OpCase => {
  const at = axis < 0 ? axis + shapes[0].length : axis;
  return {
    name,
    inputs: Object.fromEntries(shapes.map((s, i) => [`x${i}`, uniform(s, i + 1)])),
    build: (t) => concat(Object.values(t), axis),
    reference: (v) => {
      const xs = Object.values(v);
      const total = shapes.reduce((n, s) => n + s[at], 0);
      return fill(
        shapes[0].map((d, i) => (i === at ? total : d)),
        (to) => {
          let k = 0;
          let along = to[at];
          while (along >= shapes[k][at]) along -= shapes[k++][at];
          return xs[k].data[
            elementOf(
              to.map((d, i) => (i === at ? along : d)),
              shapes[k],
            )
          ];
        },
      );
    },
  };
};

export const cases: OpCase[] = [
  row(
    "channels",
    [
      [2, 3, 2, 3],
      [2, 3, 2, 1],
      [2, 3, 2, 6],
    ],
    -1,
  ),
  row(
    "height",
    [
      [1, 2, 3, 3],
      [1, 4, 3, 3],
    ],
    1,
  ),
  row(
    "width",
    [
      [2, 2, 1, 5],
      [2, 2, 4, 5],
    ],
    2,
  ),
  row(
    "batch",
    [
      [1, 7],
      [3, 7],
    ],
    0,
  ),
  row(
    "features",
    [
      [2, 17],
      [2, 3],
    ],
    1,
  ),
  row("rank 1", [[1], [5], [2]], 0),
  row("long runs", [[40011], [16384], [3]], 0),
  row("a single tensor", [[2, 3]], 1),
  row(
    "several tasks",
    [
      [3, 17, 16, 6],
      [3, 17, 16, 17],
    ],
    3,
  ),
];
