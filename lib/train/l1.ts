import type { Tensor } from "../graph/node.ts";
import { masked } from "../layers/mask.ts";
import { abs, add, scale, sum } from "../ops/index.ts";
import { BayesError, checkNumber } from "../util/errors.ts";

/**
 * An L1 penalty for `fit`'s option `penalty`: lambda times the sum of |mu| over all weights (|w| of plain ones), biases,
 * normalization and pruned weights left out (Shridhar et al. 2019, section 2: it drives weights to zero, to be pruned afterwards).
 *
 * It is added to the loss per example, mean NLL + (beta / N) KL, so it weighs lambda N against the negative
 * log-likelihood of the whole training set: lambda = 1 / (N b) is the density of a Laplace prior of scale b.
 *
 * @throws BayesError if lambda is not a number >= 0, or (when traced) if the model has no weights
 */
export function l1Penalty(lambda: number): (parameters: ReadonlyMap<string, Tensor>) => Tensor {
  checkNumber("l1Penalty", "lambda", lambda, 0);
  return (parameters) => {
    const weights = [...parameters].filter(([name]) => name.endsWith("/weight") || name.endsWith("/weight/mu"));
    if (weights.length === 0)
      throw new BayesError("[l1Penalty] expected parameters of layers with weights, received none");
    return scale(
      weights.map(([name, w]) => sum(abs(masked(name.replace(/\/mu$/, ""), w)))).reduce((a, b) => add(a, b)),
      lambda,
    );
  };
}
