import { square } from "../../lib/ops/square.ts";
import { unaryCases } from "./exp.ts";

export const cases = unaryCases(square, (x) => x * x, { extremes: [-1e30, 1e-30, 0, -0, Infinity, -Infinity, NaN] });
