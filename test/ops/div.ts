import { div } from "../../lib/ops/div.ts";
import { broadcastCases, pairCase } from "./add.ts";
import { uniform } from "./harness.ts";

export const cases = [
  ...broadcastCases(div, (x, y) => x / y, { b: (s) => uniform(s, 2, 0.5, 2) }),
  pairCase("by zero", div, (x, y) => x / y, [1, -1, 0, 0], [0, 0, 0, 5]),
];
