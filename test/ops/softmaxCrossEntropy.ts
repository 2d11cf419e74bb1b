import { softmaxCrossEntropy } from "../../lib/ops/softmaxCrossEntropy.ts";
import { given, ints, type OpCase, uniform, type Value } from "./harness.ts";
import { logSoftmaxOf } from "./softmax.ts";

const row = (name: string, logits: Value, labels: readonly number[]): OpCase => ({
  name,
  inputs: { logits, labels: ints([labels.length], labels) },
  build: (t) => softmaxCrossEntropy(t.logits, t.labels),
  reference: (v) => {
    const [rows, c] = v.logits.shape;
    const l = logSoftmaxOf(v.logits).data;
    return {
      shape: [rows],
      data: Float64Array.from({ length: rows }, (_, q) => -l[q * c + v.labels.data[q % v.labels.data.length]]),
    };
  },
  onnx: false, // training only
});
const cycle = (n: number, c: number) => Array.from({ length: n }, (_, i) => (i * 7) % c);

export const cases: OpCase[] = [
  row("one row", uniform([1, 10], 1, -4, 4), [3]),
  row("one class", uniform([2, 1], 1), [0, 0]),
  row("17 classes", uniform([5, 17], 2, -4, 4), cycle(5, 17)),
  row("3 samples of a batch of 4", uniform([12, 10], 3, -4, 4), cycle(4, 10)),
  row("1000 rows", uniform([1000, 10], 4, -4, 4), cycle(1000, 10)),
  row("large logits", given([3, 3], [1000, 0, -1000, -1000, 0, 1000, 50, 50, 50]), [0, 0, 2]),
  { ...row("a tiny loss keeps its digits", given([1, 3], [20, 0, 0]), [0]), tolerance: 1e-15 },
];
