import { apply, type Tensor } from "../graph/node.ts";
import { scale } from "./scale.ts";
import { broadcastOp } from "./shared/broadcast.ts";
import { sumTo } from "./sum.ts";

const op = broadcastOp("add", "Add", {
  sums: true,
  grad: ([dy], { inputs: [a, b] }) => [sumTo(dy!, a.shape), sumTo(dy!, b.shape)],
});

/** a + b with NumPy broadcasting; b may be a number. */
export const add = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === "number" ? scale(a, 1, b) : apply(op, [a, b], {})[0];
