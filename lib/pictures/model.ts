import type { Preprocess } from "../data/prepare.ts";
import { gaussian } from "../likelihoods/gaussian.ts";
import type { Likelihood } from "../likelihoods/shared/likelihood.ts";
import type { NoiseScale } from "../likelihoods/shared/noise.ts";
import type { NumberPrediction } from "../likelihoods/shared/predictions.ts";
import { createModel } from "../models/create.ts";
import { FIRST_SCALE } from "../models/espcn.ts";
import { checkModel, type Model } from "../models/model.ts";
import { checkOptions, fail, words } from "../util/errors.ts";
import { inverseSoftplus } from "../util/softplus.ts";

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
  /**
   * For predicted noise: a trained network with learned noise, otherwise the same, to begin as: its mean, and its one sigma for
   * every pixel. From nothing, a predicted sigma soon calls the edges noise and stops learning them (Seitzer et al. 2022).
   */
  readonly from?: Model;
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
    from,
  } = checkOptions<SuperResolutionOptions>("superResolutionModel", options, {
    scale: "number",
    bayesian: "boolean",
    noise: "string|number",
    patch: "number",
    seed: "number",
    from: "object",
  });
  if (![2, 3, 4].includes(scale)) fail("superResolutionModel", "a scale of 2, 3 or 4", scale);
  const likelihood = gaussian({ noise, center: [UNIT.center], spread: [UNIT.spread] });
  const model = createModel({
    model: "espcn",
    input: [patch, patch, 1],
    scale,
    bayesian,
    likelihood,
    preprocess,
    seed,
  });
  try {
    if (from) beginAs(model, from);
    return model;
  } catch (error) {
    model.close();
    throw error;
  }
}

/** Gives a new network with predicted noise the parameters of one with learned noise. */
function beginAs(model: Model, from: Model): void {
  const where = "superResolutionModel";
  checkModel(where, from);
  const { config, likelihood } = from;
  const alike = (["model", "scale", "bayesian", "activation"] as const).every(
    (key) => config[key] === model.config[key],
  );
  if (!alike || likelihood.config.noise !== "learned" || model.likelihood.config.noise !== "predicted")
    fail(
      where,
      "from as a network with learned noise, and otherwise the same as the one with predicted noise",
      words(from.name),
    );
  const logScale = (from.store.get("likelihood/logScale") as Float32Array).reduce((sum, share) => sum + share, 0);
  const sigma = inverseSoftplus(Math.exp(logScale)) - FIRST_SCALE;
  for (const { name, shape } of model.parameters) {
    const values = from.store.get(name) as Float32Array;
    const own = (model.store.get(name) as Float32Array).slice();
    const [all, few] = [shape[shape.length - 1], from.store.slot(name).shape.at(-1)!];
    // the last layer's filters of the scale stand behind those of the mean: no weights, and the learned scale as bias
    if (all > few && !name.endsWith("/rho")) own.fill(name.includes("/bias") ? sigma : 0);
    for (let i = 0; i < values.length; i++) own[Math.floor(i / few) * all + (i % few)] = values[i];
    model.store.set(name, own);
  }
}
