import { correct } from "../../lib/ops/correct.ts";
import { given, ints, type OpCase, uniform, type Value } from "./harness.ts";

const row = (name: string, logits: Value, labels: readonly number[]): OpCase => ({
  name,
  inputs: { logits, labels: ints([labels.length], labels) },
  build: (t) => correct(t.logits, t.labels),
  reference: (v) => {
    const [rows, c] = v.logits.shape;
    const right = Array.from({ length: rows }, (_, q) => {
      const r = Array.from(v.logits.data.subarray(q * c, (q + 1) * c));
      return Number(!r.some(Number.isNaN) && r.indexOf(Math.max(...r)) === v.labels.data[q % v.labels.data.length]);
    });
    return { shape: [], data: Float64Array.of(right.reduce((a, b) => a + b, 0)) };
  },
  wrt: [],
  onnx: false,
});

export const cases: OpCase[] = [
  row("made-up logits", uniform([300, 5], 1), [0, 1, 2, 3, 4]),
  row("ties: the lowest index", given([3, 3], [1, 1, 0, 0, 1, 1, 2, 2, 2]), [0, 2, 0]),
  row("a NaN is wrong", given([2, 2], [Number.NaN, 1, 1, Number.NaN]), [0]),
  row("one class", uniform([4, 1], 2), [0]),
];
