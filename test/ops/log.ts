import { log } from "../../lib/ops/log.ts";
import { unaryCases } from "./exp.ts";

export const cases = unaryCases(log, Math.log, {
  low: 0.1,
  high: 5,
  extremes: [0, 1e-45, 1e-40, 1.2e-38, 1, 1.0000001, 0.99999994, 3e38, Infinity, -1, -Infinity, NaN],
});
