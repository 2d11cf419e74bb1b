import type { Tensor } from "../graph/node.ts";
import { scale } from "./scale.ts";

/** -x. */
export const neg = (x: Tensor): Tensor => scale(x, -1);
