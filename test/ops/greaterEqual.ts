import { greaterEqual } from "../../lib/ops/greaterEqual.ts";
import { broadcastCases, pairCase } from "./add.ts";

const ge = (x: number, y: number) => Number(x >= y);

export const cases = [
  ...broadcastCases(greaterEqual, ge, { rows: { wrt: [] } }),
  pairCase("ties and NaN", greaterEqual, ge, [1, 0, NaN, 1, Infinity], [1, -0, 1, NaN, Infinity]),
];
