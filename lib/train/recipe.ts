/**
 * What a training does when nothing is said, as a function of the number of training images. On many images it is that of
 * {@link defaults}; on few of them that recipe leaves a posterior where it began, and its KL term outweighs what the images
 * have to say. The evidence is the experiment `small-data` (docs/results.md).
 */
import { checkInt, checkNumber, fail } from "../util/errors.ts";
import { defaults } from "./defaults.ts";

/** From so many training images on, the recipe is that of {@link defaults}, whatever the network. */
export const MANY_IMAGES = 5000;
/** Adam moves a weight by about the learning rate in a step, 0.002: in 500 along a half cosine by half a unit at most. */
export const LEAST_STEPS = 500;
/** An epoch has at least so many batches, ... */
const LEAST_BATCHES = 8;
/** ... unless they would be smaller than this. */
const LEAST_BATCH = 32;
/** The choice was made on so many images. Fewer are learned by heart more easily: beta falls no further, and sigma grows to a half. */
const CHOSEN_ON = 1000;
/** Sigma of a weight at the beginning, as a share of its layer's root mean square weight. */
const [INITIAL_SIGMA, WIDEST] = [1 / 3, 1 / 2];

/** What was said about the recipe; the rest is chosen to go with it. */
export interface SaidOfRecipe {
  readonly epochs?: number;
  readonly batchSize?: number;
  /** Anything but undefined: it was said. */
  readonly beta?: unknown;
  readonly initialSigma?: number;
}

export interface Recipe {
  readonly epochs: number;
  readonly batchSize: number;
  /** Weight of the KL term; where one was said, that one counts. */
  readonly beta: number;
  /** See `FitOptions.initialSigma`; 0 leaves the posterior as it is. */
  readonly initialSigma: number;
  /** For each that is not as on many images: what, and why. */
  readonly why: Readonly<Partial<Record<"batchSize" | "epochs" | "beta" | "initialSigma", string>>>;
}

/**
 * The recipe for so many training images.
 * @param bayesian false: for plain weights, which have neither beta nor sigma
 * @throws BayesError for a number of images that is none
 */
export function recipeFor(images: number, said: SaidOfRecipe = {}, bayesian = true): Recipe {
  checkInt("recipeFor", "the number of training images", images, 1);
  if (typeof said !== "object" || said === null) fail("recipeFor", "what was said as an object", said);
  for (const key of ["epochs", "batchSize"] as const)
    if (said[key] !== undefined) checkInt("recipeFor", key, said[key], 1);
  if (said.initialSigma !== undefined) checkNumber("recipeFor", "initialSigma", said.initialSigma, 0);
  const few = images < MANY_IMAGES;
  const eighth = 2 ** Math.floor(Math.log2(Math.max(1, images / LEAST_BATCHES)));
  const usual = Math.min(defaults.batchSize, Math.max(LEAST_BATCH, eighth), images);
  const batchSize = said.batchSize ?? usual;
  const batches = Math.ceil(images / batchSize);
  const epochs = said.epochs ?? Math.max(defaults.epochs, Math.ceil(LEAST_STEPS / batches));
  const share = Math.min(1, Math.max(CHOSEN_ON, images) / MANY_IMAGES);
  const beta = Number((Number(defaults.beta) * share).toPrecision(2));
  const initialSigma = said.initialSigma ?? (few && bayesian ? sigmaFor(images) : 0);
  const why: { -readonly [K in keyof Recipe["why"]]: string } = {};
  if (said.batchSize === undefined && batchSize !== defaults.batchSize)
    why.batchSize = `batches of ${batchSize} in place of ${defaults.batchSize}, so that an epoch has ${batches} steps`;
  if (said.epochs === undefined && epochs !== defaults.epochs)
    why.epochs = `${epochs} epochs in place of ${defaults.epochs}, because fewer than ${LEAST_STEPS} steps are too few`;
  if (bayesian && said.beta === undefined && few)
    why.beta = `beta ${beta} in place of ${defaults.beta}, because the KL term would outweigh so few images`;
  if (bayesian && said.initialSigma === undefined && few)
    why.initialSigma = `sigmas that begin at ${Number(initialSigma.toFixed(2))} of the weights of their layer, because so few steps do not widen them`;
  return { epochs, batchSize, beta, initialSigma, why };
}

const sigmaFor = (images: number): number =>
  images >= CHOSEN_ON ? INITIAL_SIGMA : Math.min(WIDEST, INITIAL_SIGMA * Math.cbrt(CHOSEN_ON / images));

/** What was chosen, as a sentence; undefined where it is what it always is. */
export const recipeSentence = (images: number, { why }: Recipe): string | undefined =>
  Object.keys(why).length === 0 ? undefined : `chosen for ${images} training images: ${Object.values(why).join("; ")}`;
