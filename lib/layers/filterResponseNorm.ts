import type { Tensor } from "../graph/node.ts";
import { parameter } from "../graph/trace.ts";
import { add, div, maximum, mean, mul, scale, sqrt, square } from "../ops/index.ts";
import { checkNumber, checkOptions, fail } from "../util/errors.ts";
import { type LayerOptions, layerKinds, scope } from "./scope.ts";
import { checkInput } from "./weights.ts";

export interface FilterResponseNormOptions extends LayerOptions {
  /** Added to the mean square. Default 1e-6 (the paper's). */
  readonly epsilon?: number;
  /** Apply the thresholded linear unit, which is this norm's activation; default true. */
  readonly threshold?: boolean;
}

/**
 * Filter response normalization and its thresholded linear unit (Singh and Krishnan 2020, eq. 1 to 3): of each image and
 * channel v = mean over the pixels of x², y = max(gamma x / sqrt(v + epsilon) + beta, tau). It knows no batch and keeps no
 * running statistics, so training and prediction do the same. Parameters `name/gamma` (at first 1), `name/beta` and
 * `name/tau` (0), all [C].
 * @param x [batch, height, width, C]
 * @returns [batch, height, width, C]
 * @throws BayesError for arguments that are not such
 */
export function filterResponseNorm2d(x: Tensor, options: FilterResponseNormOptions = {}): Tensor {
  const own = checkOptions<FilterResponseNormOptions>("filterResponseNorm2d", options, {
    ...layerKinds,
    epsilon: "number",
    threshold: "boolean",
  });
  const [, , , channels] = checkInput("filterResponseNorm2d", x, 4, "[batch, height, width, channels]");
  const { epsilon = 1e-6, threshold = true } = own;
  return scope(
    "filterResponseNorm2d",
    own,
    (name) => {
      if (!(checkNumber(name, "epsilon", epsilon, 0) > 0)) fail(name, "epsilon above 0", epsilon);
      const filled = (part: string, value: number) =>
        parameter(`${name}/${part}`, [channels], () => new Float32Array(channels).fill(value));
      const v = mean(square(x), [1, 2], { keepdims: true });
      const factor = div(filled("gamma", 1), sqrt(scale(v, 1, epsilon))); // [batch, 1, 1, C]
      const y = add(mul(x, factor), filled("beta", 0));
      return threshold ? maximum(y, filled("tau", 0)) : y;
    },
    threshold ? "with threshold" : "",
  );
}
