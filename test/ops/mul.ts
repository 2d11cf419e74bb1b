import { mul } from "../../lib/ops/mul.ts";
import { broadcastCases, pairCase } from "./add.ts";

export const cases = [
  ...broadcastCases(mul, (x, y) => x * y),
  pairCase("extremes", mul, (x, y) => x * y, [Infinity, -Infinity, 0, 1e30], [2, 0, NaN, 1e-30]),
];
