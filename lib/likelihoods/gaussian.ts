/** Numbers, or images of numbers, with normal noise. */
import { scale, square } from "../ops/index.ts";
import { locationScale } from "./location.ts";
import type { Likelihood } from "./shared/likelihood.ts";
import type { RegressionOptions } from "./shared/noise.ts";
import type { NumberPrediction } from "./shared/predictions.ts";

/**
 * N(target; mean, sigma^2) for every value of a target of any shape. The network gives the means, [batch, ...shape] (and
 * with noise "predicted" behind them along the last axis as many scales before a softplus).
 *
 * With noise "learned" sigma is a parameter of the model, trained with the rest, one for each number along the last axis: at
 * the optimum it is the root mean squared error. Aleatoric variance is sigma^2, epistemic the variance of the means (Kendall and Gal 2017).
 * @throws BayesError for options that make no sense
 */
export const gaussian = (options: RegressionOptions = {}): Likelihood<NumberPrediction> =>
  locationScale(
    {
      kind: "gaussian",
      constant: Math.log(2 * Math.PI) / 2,
      distance: (z) => (z * z) / 2,
      cdf: normalCdf,
      traced: (z) => scale(square(z), 0.5),
      variance: 1,
    },
    options,
  );

/** Abramowitz and Stegun 7.1.26: off by less than 1e-7, far below what a share of targets shows. */
function normalCdf(z: number): number {
  const x = Math.abs(z) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * x);
  const series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const tail = (series * Math.exp(-x * x)) / 2;
  return z < 0 ? tail : 1 - tail;
}
