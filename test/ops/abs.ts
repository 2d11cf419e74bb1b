import { abs } from "../../lib/ops/abs.ts";
import { unaryCases } from "./exp.ts";
import { awayFromZero, map } from "./harness.ts";

export const cases = [
  ...unaryCases(abs, Math.abs, { rows: { wrt: [] }, extremes: [-Infinity, -1e-40, -0, 0, 1e30, NaN] }),
  ...unaryCases(abs, Math.abs, {
    rows: { inputs: { x: awayFromZero([3, 7], 8) }, reference: ({ x }) => map(x, Math.abs) },
  }).slice(0, 1),
];
