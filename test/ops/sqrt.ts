import { sqrt } from "../../lib/ops/sqrt.ts";
import { unaryCases } from "./exp.ts";

export const cases = unaryCases(sqrt, Math.sqrt, {
  low: 0.1,
  high: 4,
  extremes: [0, 1e-40, 1e-38, 4, 3e38, Infinity, -1, NaN],
});
