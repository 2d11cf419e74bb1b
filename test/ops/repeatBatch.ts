import { type Shape, sizeOf } from "../../lib/graph/node.ts";
import { repeatBatch } from "../../lib/ops/repeatBatch.ts";
import { type OpCase, uniform } from "./harness.ts";

const row = (name: string, shape: Shape, samples: number): OpCase => ({
  name,
  inputs: { x: uniform(shape, 1) },
  build: (t) => repeatBatch(t.x, samples),
  reference: ({ x }) => ({
    shape: [samples * shape[0], ...shape.slice(1)],
    data: Float64Array.from({ length: samples * sizeOf(shape) }, (_, i) => x.data[i % sizeOf(shape)]),
  }),
});

export const cases: OpCase[] = [
  row("images", [2, 3, 3, 6], 3),
  row("one row, one number", [1, 1], 2),
  row("vectors, odd width", [3, 17], 5),
  row("several tasks", [4, 17, 17, 17], 2),
  row("more samples than fit one task", [1, 5], 33),
];
