/** Numbers, or images of numbers, with normal noise. */
import { scale } from "../ops/scale.ts";
import { square } from "../ops/square.ts";
import type { Likelihood } from "./likelihood.ts";
import { locationScale, type NumberPrediction } from "./location.ts";
import type { RegressionOptions } from "./noise.ts";

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
      traced: (z) => scale(square(z), 0.5),
      variance: 1,
    },
    options,
  );
