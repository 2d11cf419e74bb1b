import { tanh } from "../../lib/ops/tanh.ts";
import { unaryCases } from "./exp.ts";

export const cases = unaryCases(tanh, Math.tanh, {
  extremes: [-Infinity, -100, -10, -0.625, -1e-40, -0, 0, 1e-5, 0.6249999, 100, Infinity, NaN],
});
