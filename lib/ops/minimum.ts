import { apply, type Tensor } from "../graph/node.ts";
import { greaterEqual } from "./greaterEqual.ts";
import { mul } from "./mul.ts";
import { broadcastOp } from "./shared/broadcast.ts";
import { sub } from "./sub.ts";
import { sumTo } from "./sum.ts";

const op = broadcastOp("minimum", "Min", {
  grad([dy], { inputs: [a, b] }) {
    const da = mul(dy!, greaterEqual(b, a));
    return [sumTo(da, a.shape), sumTo(sub(dy!, da), b.shape)];
  },
});

/** The smaller of a and b, with NumPy broadcasting. A NaN on either side stays; where both are equal the gradient goes to a. */
export const minimum = (a: Tensor, b: Tensor): Tensor => apply(op, [a, b], {})[0];
