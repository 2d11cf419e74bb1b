import { logScaleMixtureSum } from "../ops/logScaleMixtureSum.ts";
import { checkNumber, checkOptions } from "../util/errors.ts";
import type { Prior } from "./prior.ts";

export interface ScaleMixturePriorOptions {
  /** Share of the first Gaussian, in [0, 1]; default 0.5. */
  readonly pi?: number;
  /** Standard deviations, from 1e-10 to 1e10; defaults 1 and exp(-6). */
  readonly sigma1?: number;
  readonly sigma2?: number;
}

/**
 * Blundell et al. 2015, eq. 7: p(w) = pi N(0, sigma1^2) + (1 - pi) N(0, sigma2^2), a heavy tail and a sharp peak. There
 * is no closed form, so its KL is sampled. Defaults lie inside the paper's search grid.
 */
export function scaleMixturePrior(options: ScaleMixturePriorOptions = {}): Prior {
  const {
    pi = 0.5,
    sigma1 = 1,
    sigma2 = Math.exp(-6),
  } = checkOptions("scaleMixturePrior", options, { pi: "number", sigma1: "number", sigma2: "number" });
  checkNumber("scaleMixturePrior", "pi", pi, 0, 1);
  checkNumber("scaleMixturePrior", "sigma1", sigma1, 1e-10, 1e10);
  checkNumber("scaleMixturePrior", "sigma2", sigma2, 1e-10, 1e10);
  return Object.freeze<Prior>({
    name: `scaleMixture(${pi}, ${sigma1}, ${Number(sigma2.toPrecision(4))})`,
    logDensity: (w, _mu, _weight, mask) => logScaleMixtureSum(w, { pi, sigma1, sigma2 }, mask),
    moments: () => ({ mean: 0, sigma: Math.sqrt(pi * sigma1 ** 2 + (1 - pi) * sigma2 ** 2) }),
  });
}
