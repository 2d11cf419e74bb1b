import { apply, type Tensor } from "../graph/node.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";
import { scale } from "./scale.ts";
import { broadcastOp } from "./shared/broadcast.ts";
import { sumTo } from "./sum.ts";

const op = broadcastOp("div", "Div", {
  grad([dy], { inputs: [a, b], outputs: [y] }) {
    const da = div(dy!, b);
    return [sumTo(da, a.shape), neg(sumTo(mul(da, y), b.shape))];
  },
});

/** a / b with NumPy broadcasting; b may be a number. */
export const div = (a: Tensor, b: Tensor | number): Tensor =>
  typeof b === "number" ? scale(a, 1 / b) : apply(op, [a, b], {})[0];
