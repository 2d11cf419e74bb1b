import { softplus } from "../../lib/ops/softplus.ts";
import { unaryCases } from "./exp.ts";

export const softplusOf = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

export const cases = unaryCases(softplus, softplusOf, {
  low: -6,
  high: 6,
  extremes: [-Infinity, -1000, -100, -20, -0, 0, 20, 100, 1000, Infinity, NaN],
});
