import { apply, type Tensor } from "../graph/node.ts";
import { scale } from "./scale.ts";
import { broadcastOp } from "./shared/broadcast.ts";
import { sumTo } from "./sum.ts";

const op = broadcastOp("mul", "Mul", {
  grad: ([dy], { inputs: [a, b] }) => [sumTo(mul(dy!, b), a.shape), sumTo(mul(dy!, a), b.shape)],
});

/** a * b with NumPy broadcasting; b may be a number. */
export const mul = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === "number" ? scale(a, b) : apply(op, [a, b], {})[0];
