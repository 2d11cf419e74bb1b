import { sigma2FromRho } from "../../lib/ops/sigma2FromRho.ts";
import { unaryCases } from "./exp.ts";
import { softplusOf } from "./softplus.ts";

export const cases = unaryCases(sigma2FromRho, (rho) => softplusOf(rho) ** 2, {
  low: -6,
  high: 3,
  extremes: [-100, -50, -40, -10.0001, -9.9999, 0, 50, 100],
});
