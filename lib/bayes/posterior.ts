import { type Shape, sizeOf, type Tensor } from "../graph/node.ts";
import { parameter, trace } from "../graph/trace.ts";
import { fillGaussians } from "../native/gaussians.ts";
import { sigma2FromLogAlpha, sigma2FromRho } from "../ops/index.ts";
import { checkNumber, checkOptions, fail } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { STREAM_INIT } from "../util/philox.ts";
import type { Prior } from "./prior.ts";

/** The variational distribution of one weight tensor inside a trace: an independent Gaussian per weight. */
export interface WeightDistribution {
  readonly name: string;
  readonly mu: Tensor;
  /** Variance (not the standard deviation), >= 0. */
  readonly sigma2: Tensor;
  /** Closed-form KL to the prior, if there is one; over the weights where `mask` is 1 if there is a mask. */
  closedKl(prior: Prior, mask?: Tensor): Tensor | undefined;
}

export interface Posterior {
  readonly name: string;
  /** Whether nobody has said how wide it begins: then `fit` does, by the number of images (see `recipeFor`). */
  readonly unsaid?: true;
  /** The distribution of the weight `name`; makes its parameters on the first trace. */
  weight(name: string, shape: Shape, fanIn: number): WeightDistribution;
}

/** Standard normal draws for the initialisation of one tensor: a function of the seed and the tensor's name alone. */
export function initNormals(name: string, count: number, scale: number, mean = 0): Float32Array {
  return normals(name, count, scale, mean, trace().seed);
}

function normals(name: string, count: number, scale: number, mean: number, seed: number): Float32Array {
  let row = 2166136261; // FNV-1a of the name picks the row, so adding a layer moves no other layer's values
  for (const c of name) row = Math.imul(row ^ c.charCodeAt(0), 16777619) >>> 0;
  const values = newArray(`parameter ${name}`, "f32", count, "a smaller layer would fit");
  return fillGaussians(values, { mean, scale, seed, stream: STREAM_INIT, row });
}

export interface RhoPosteriorOptions {
  /** Initial rho: sigma = softplus(rho), so -5 (default) is sigma = 0.0067. Where it is not given, `fit` begins wider on few images. */
  readonly rhoInit?: number;
  /** "he": mu ~ N(0, 2 / fanIn), for ReLU-like nets; a number: its standard deviation (the reference uses 0.1). */
  readonly muInit?: "he" | number;
  /** Standard deviation of the initial rho around rhoInit (the reference uses 0.1). */
  readonly rhoSpread?: number;
}

/**
 * N(mu, softplus(rho)^2), per weight (Blundell et al. 2015; Shridhar et al. 2019, chapter 5). Default: mu by He et al.
 * 2015 and rho = -5 + 0.1 N(0, 1); `referenceInit` is the reference implementation's.
 */
export function rhoPosterior(options: RhoPosteriorOptions = {}): Posterior {
  const own = checkOptions("rhoPosterior", options, {
    rhoInit: "number",
    muInit: "number|string",
    rhoSpread: "number",
  });
  const { rhoInit = RHO_INIT, muInit = "he", rhoSpread = RHO_SPREAD } = own;
  checkNumber("rhoPosterior", "rhoInit", rhoInit, -100, 100);
  checkNumber("rhoPosterior", "rhoSpread", rhoSpread, 0);
  if (muInit !== "he") checkNumber("rhoPosterior", 'muInit (if not "he")', muInit, 0);
  return Object.freeze<Posterior>({
    name: `rho(${rhoInit}, ${muInit})`,
    ...(own.rhoInit === undefined && own.rhoSpread === undefined ? { unsaid: true } : {}),
    weight(name: string, shape: Shape, fanIn: number): WeightDistribution {
      const n = sizeOf(shape);
      const mu = parameter(`${name}/mu`, shape, () => initNormals(`${name}/mu`, n, muScale(muInit, name, fanIn)));
      const rho = parameter(`${name}/rho`, shape, () => initNormals(`${name}/rho`, n, rhoSpread, rhoInit));
      return { name, mu, sigma2: sigma2FromRho(rho), closedKl: (prior, mask) => prior.klRho?.(mu, rho, name, mask) };
    },
  });
}

const [RHO_INIT, RHO_SPREAD] = [-5, 0.1];

/**
 * The initial rho of a tensor of a posterior of which nobody has said how wide it begins, around another value than -5: what it
 * would have got from `rhoPosterior({ rhoInit })`.
 */
export function initialRho(name: string, count: number, seed: number, rhoInit: number = RHO_INIT): Float32Array {
  return normals(name, count, RHO_SPREAD, rhoInit, seed);
}

/** mu ~ N(0, 0.1^2), rho ~ N(-5, 0.1^2): what the reference implementation starts from. */
export const referenceInit = { rhoInit: -5, muInit: 0.1, rhoSpread: 0.1 } as const;

// biases start at zero under "he", as usual
const muScale = (init: "he" | number, name: string, fanIn: number): number =>
  init !== "he" ? init : name.endsWith("/bias") ? 0 : Math.sqrt(2 / fanIn);

export interface AlphaPosteriorOptions {
  /** One alpha per weight, or one for the layer (the paper's code). */
  readonly per?: "weight" | "layer";
  /** Initial log alpha; the reference starts at -5. */
  readonly logAlphaInit?: number;
  readonly muInit?: "he" | number;
}

/** N(mu, alpha mu^2) with log alpha learned (Shridhar et al. 2019, eq. 4.1; variational dropout, Kingma et al. 2015). */
export function alphaPosterior(options: AlphaPosteriorOptions = {}): Posterior {
  const {
    per = "weight",
    logAlphaInit = -5,
    muInit = "he",
  } = checkOptions("alphaPosterior", options, { per: "string", logAlphaInit: "number", muInit: "number|string" });
  if (per !== "weight" && per !== "layer") fail("alphaPosterior", 'per "weight" or "layer"', per);
  if (muInit !== "he") checkNumber("alphaPosterior", 'muInit (if not "he")', muInit, 0);
  checkNumber("alphaPosterior", "logAlphaInit", logAlphaInit, -50, 50);
  return Object.freeze({
    name: `alpha(${per}, ${logAlphaInit})`,
    weight(name: string, shape: Shape, fanIn: number): WeightDistribution {
      const n = sizeOf(shape);
      // a bias of exactly zero has zero variance and no way out: start it a little off
      const scale = muScale(muInit, name, fanIn) || 0.01;
      const mu = parameter(`${name}/mu`, shape, () => initNormals(`${name}/mu`, n, scale));
      const alphaShape = per === "layer" ? [1] : shape;
      const logAlpha = parameter(`${name}/logAlpha`, alphaShape, () =>
        new Float32Array(per === "layer" ? 1 : n).fill(logAlphaInit),
      );
      return {
        name,
        mu,
        sigma2: sigma2FromLogAlpha(mu, logAlpha),
        closedKl: (prior, mask) => prior.klAlpha?.(mu, logAlpha, name, mask),
      };
    },
  });
}
