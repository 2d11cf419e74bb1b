import { gatherRows } from "../../lib/ops/gatherRows.ts";
import { ints, type OpCase, random } from "./harness.ts";

const row = (name: string, labels: readonly number[], index: readonly number[]): OpCase => ({
  name,
  inputs: { labels: ints([labels.length], labels), index: ints([index.length], index) },
  build: (t) => gatherRows(t.labels, t.index),
  reference: (v) => ({ shape: [index.length], data: v.index.data.map((i) => v.labels.data[i]) }),
  wrt: [],
  onnx: false,
});

function images(name: string, shape: readonly number[], index: readonly number[]): OpCase {
  const size = shape.slice(1).reduce((a, b) => a * b, 1);
  const next = random(3);
  const data = Float64Array.from({ length: shape[0] * size }, () => Math.fround(next()));
  return {
    name,
    inputs: { data: { shape, data }, index: ints([index.length], index) },
    build: (t) => gatherRows(t.data, t.index),
    reference: (v) => ({
      shape: [index.length, ...shape.slice(1)],
      data: Float64Array.from(index.flatMap((i) => [...v.data.data.subarray(i * size, (i + 1) * size)])),
    }),
    wrt: [],
    onnx: false,
  };
}

export const cases: OpCase[] = [
  row("any order, with repetition", [3, 1, 4, 1, 5, 9], [5, 0, 2, 2]),
  row("a batch of one", [7], [0]),
  images("numbers, three an example", [5, 3], [4, 4, 0]),
  images("images", [3, 4, 5, 2], [2, 0, 1, 0]),
];
