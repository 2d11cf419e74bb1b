import { neg } from "../../lib/ops/neg.ts";
import { scale } from "../../lib/ops/scale.ts";
import { unaryCases } from "./exp.ts";

export const cases = [
  ...unaryCases(
    (x) => scale(x, -1.5, 0.25),
    (x) => -1.5 * x + 0.25,
    { extremes: [-Infinity, 1e30, 0, Infinity, NaN] },
  ),
  ...unaryCases(
    (x) => scale(x, 0, 2),
    () => 2,
  ).slice(0, 2),
  ...unaryCases(
    (x) => scale(x, 1, -3),
    (x) => x - 3,
  ).slice(0, 2),
  ...unaryCases(neg, (x) => -x).slice(0, 2),
];
