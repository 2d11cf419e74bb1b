import type { Shape } from "../../lib/graph/node.ts";
import { softmax } from "../../lib/ops/softmax.ts";
import { given, type OpCase, uniform, type Value } from "./harness.ts";

/** log-softmax over the last axis. */
export function logSoftmaxOf(x: Value): Value {
  const c = x.shape[x.shape.length - 1];
  const data = Float64Array.from(x.data);
  for (let r = 0; r < data.length; r += c) {
    const row = data.subarray(r, r + c);
    const max = Math.max(...row);
    const log = Math.log(row.reduce((s, v) => s + Math.exp(v - max), 0));
    row.forEach((v, i) => {
      row[i] = v - max - log;
    });
  }
  return { shape: x.shape, data };
}
const reference: OpCase["reference"] = ({ x }) => {
  const l = logSoftmaxOf(x);
  return { ...l, data: l.data.map(Math.exp) };
};
export const rowShapes: readonly (readonly [string, Shape])[] = [
  ["one class", [3, 1]],
  ["2 classes", [1, 2]],
  ["10 classes", [5, 10]],
  ["17 classes", [4, 17]],
  ["1000 classes", [3, 1000]],
  ["an image", [2, 3, 4, 5]],
  ["a vector", [7]],
  ["several tasks", [700, 10]],
];
export const cases: OpCase[] = [
  ...rowShapes.map(
    ([name, shape]): OpCase => ({
      name,
      inputs: { x: uniform(shape, 1, -4, 4) },
      build: (t) => softmax(t.x),
      reference,
    }),
  ),
  {
    name: "large logits",
    inputs: { x: given([2, 3], [1000, 999, -1000, -100, 100, 100]) },
    build: (t) => softmax(t.x),
    reference,
  },
];
