import { sigmoid } from "../../lib/ops/sigmoid.ts";
import { unaryCases } from "./exp.ts";

export const cases = unaryCases(sigmoid, (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x))), {
  extremes: [-Infinity, -1000, -100, -20, -0, 0, 20, 100, 1000, Infinity, NaN],
});
