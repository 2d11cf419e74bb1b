import { gatherLabels } from "../../lib/ops/gatherLabels.ts";
import { ints, type OpCase } from "./harness.ts";

const row = (name: string, labels: readonly number[], index: readonly number[]): OpCase => ({
  name,
  inputs: { labels: ints([labels.length], labels), index: ints([index.length], index) },
  build: (t) => gatherLabels(t.labels, t.index),
  reference: (v) => ({ shape: [index.length], data: v.index.data.map((i) => v.labels.data[i]) }),
  wrt: [],
  onnx: false,
});

export const cases: OpCase[] = [
  row("any order, with repetition", [3, 1, 4, 1, 5, 9], [5, 0, 2, 2]),
  row("a batch of one", [7], [0]),
];
