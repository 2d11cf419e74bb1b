/** Numbers with Laplace noise: large errors are less of a surprise than under a Gaussian. */
import { abs } from "../ops/abs.ts";
import { locationScale } from "./location.ts";
import type { Likelihood } from "./shared/likelihood.ts";
import type { RegressionOptions } from "./shared/noise.ts";
import type { NumberPrediction } from "./shared/predictions.ts";

/**
 * exp(-|target - mean| / b) / 2b for every value of a target; options and output as those of `gaussian`. The scale is b,
 * the aleatoric variance 2 b^2; a learned b is at its optimum the mean absolute error.
 * @throws BayesError for options that make no sense
 */
export const laplace = (options: RegressionOptions = {}): Likelihood<NumberPrediction> =>
  locationScale(
    {
      kind: "laplace",
      constant: Math.log(2),
      distance: Math.abs,
      cdf: (z) => (z < 0 ? Math.exp(z) / 2 : 1 - Math.exp(-z) / 2),
      traced: abs,
      variance: 2,
    },
    options,
  );
