import { type Shape, sizeOf } from "../../lib/graph/node.ts";
import { broadcastTo } from "../../lib/ops/broadcastTo.ts";
import { broadcast } from "./add.ts";
import { type OpCase, uniform } from "./harness.ts";

const row = (name: string, from: Shape, to: Shape): OpCase => ({
  name,
  inputs: { x: uniform(from, 1) },
  build: (t) => broadcastTo(t.x, to),
  reference: ({ x }) => broadcast(x, { shape: to, data: new Float64Array(sizeOf(to)) }, (v) => v),
});

export const cases: OpCase[] = [
  row("scalar to 17", [], [17]),
  row("one element", [1], [1, 1]),
  row("channels to an image", [5], [2, 3, 4, 5]),
  row("a column", [7, 1], [7, 9]),
  row("middle", [2, 1, 3], [2, 5, 3]),
  row("pooled to an image", [2, 1, 1, 3], [2, 4, 5, 3]),
  row("several tasks", [1], [20001]),
];
