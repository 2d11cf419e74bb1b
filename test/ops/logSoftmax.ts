import { logSoftmax } from "../../lib/ops/logSoftmax.ts";
import { given, type OpCase, uniform } from "./harness.ts";
import { logSoftmaxOf, rowShapes } from "./softmax.ts";

const reference: OpCase["reference"] = ({ x }) => logSoftmaxOf(x);

export const cases: OpCase[] = [
  ...rowShapes.map(
    ([name, shape]): OpCase => ({
      name,
      inputs: { x: uniform(shape, 1, -4, 4) },
      build: (t) => logSoftmax(t.x),
      reference,
    }),
  ),
  {
    name: "large logits",
    inputs: { x: given([2, 3], [1000, 999, -1000, -100, 100, 100]) },
    build: (t) => logSoftmax(t.x),
    reference,
    wrt: [],
  },
];
