import type { Preprocess } from "../data/prepare.ts";
import { checkOptions, fail } from "../errors.ts";
import { gaussian } from "../likelihoods/gaussian.ts";
import type { Likelihood } from "../likelihoods/likelihood.ts";
import type { NumberPrediction } from "../likelihoods/location.ts";
import type { NoiseScale } from "../likelihoods/noise.ts";
import { createModel } from "../models/create.ts";
import type { Model } from "../models/model.ts";

/** The unit in which the network works, of inputs and targets alike: (Y - 128) / 64. */
export const UNIT = { center: 128, spread: 64 } as const;
const preprocess: Preprocess = { scale: [1 / UNIT.spread], shift: [-UNIT.center / UNIT.spread] };

/** What {@link superResolutionModel} takes. */
export interface SuperResolutionOptions {
  /** How many times larger along each side: 2, 3 (default) or 4. */
  readonly scale?: 2 | 3 | 4;
  /** Default true; false is the frequentist twin. */
  readonly bayesian?: boolean;
  /** Noise of the pixels around what the network says: one for all ("learned"), or one each ("predicted", the default). */
  readonly noise?: NoiseScale;
  /** Height and width of the low-resolution patches it is trained on; default 32. */
  readonly patch?: number;
  /** Seed of the initial parameters; default 0. */
  readonly seed?: number;
}

/**
 * The model "espcn" for luma in 0..255: a Gaussian likelihood whose unit is that of the input, so that the network adds to
 * the bicubic picture (see {@link picturePatches} for the data, {@link superResolve} for what it does). Trained on patches,
 * it takes pictures of any size.
 * @throws BayesError that names the first wrong option
 */
export function superResolutionModel(options: SuperResolutionOptions = {}): Model<Likelihood<NumberPrediction>> {
  const {
    scale = 3,
    bayesian = true,
    noise = "predicted",
    patch = 32,
    seed = 0,
  } = checkOptions<SuperResolutionOptions>("superResolutionModel", options, {
    scale: "number",
    bayesian: "boolean",
    noise: "string|number",
    patch: "number",
    seed: "number",
  });
  if (![2, 3, 4].includes(scale)) fail("superResolutionModel", "a scale of 2, 3 or 4", scale);
  const likelihood = gaussian({ noise, center: [UNIT.center], spread: [UNIT.spread] });
  return createModel({ model: "espcn", input: [patch, patch, 1], scale, bayesian, likelihood, preprocess, seed });
}
