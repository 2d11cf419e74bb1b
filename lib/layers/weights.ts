import { initNormals, type WeightDistribution } from "../bayes/posterior.ts";
import { type BayesOptions, type BayesSettings, settings } from "../bayes/settings.ts";
import { constant, type Shape, sizeOf, Tensor } from "../graph/node.ts";
import { type Mode, type Noise, noiseFor, parameter, trace } from "../graph/trace.ts";
import { topo } from "../graph/walk.ts";
import { add, concat, gaussianNoise, logPosteriorSum, mul, reshape, slice, sqrt, sub } from "../ops/index.ts";
import type { BayesWeights } from "../ops/shared/conv.ts";
import type { Pair } from "../ops/shared/window.ts";
import { BayesError, checkInt, fail } from "../util/errors.ts";
import { masked, maskOf } from "./mask.ts";
import { isAmong } from "./names.ts";
import { type LayerOptions, layerKinds, layersOf, scope } from "./scope.ts";

/** What a plain layer takes besides its geometry. */
export interface PointOptions {
  /** Default true. */
  readonly bias?: boolean;
}

/** The kinds of the options of a plain and of a Bayesian layer, for `checkOptions`. */
export const pointKinds = { ...layerKinds, bias: "boolean" };
export const bayesKinds = {
  ...layerKinds,
  posterior: "object",
  prior: "object",
  estimator: "string",
  kl: "string",
  bias: "boolean|string",
};

/** The parameters of one layer, as its geometry says, and the ops that use them. */
export interface LayerShape {
  readonly weight: Shape;
  readonly outputs: number;
  readonly fanIn: number;
  /** The op with plain weights. */
  readonly point: (x: Tensor, weight: Tensor, bias: Tensor | undefined) => Tensor;
  /** The fused op with local reparameterization. */
  readonly local: (x: Tensor, weights: BayesWeights, noise: Noise) => Tensor;
}

/** A layer with plain weights, under its name; with a posterior where the trace says so. */
export function pointLayer(
  kind: string,
  x: Tensor,
  { bias = true, ...options }: LayerOptions & PointOptions,
  shapeOf: (name: string) => LayerShape,
): Tensor {
  const s = layersOf().bayes;
  return scope(kind, options, (name) =>
    isBayesian(name, false)
      ? stochastic(kind, name, x, shapeOf(name), { ...s, bias: bias && (s.bias || true) })
      : plain(name, x, shapeOf(name), bias),
  );
}

/** Whether a layer has a posterior: as the trace says, else as its function does. */
function isBayesian(name: string, otherwise: boolean): boolean {
  const { bayesianLayers: all = otherwise } = layersOf();
  return typeof all === "boolean" ? all : isAmong(all, name);
}

function plain(name: string, x: Tensor, { weight, outputs, fanIn, point }: LayerShape, bias: boolean): Tensor {
  const w = pointWeight(`${name}/weight`, weight, fanIn);
  return point(x, w, bias ? pointWeight(`${name}/bias`, [outputs], fanIn) : undefined);
}

/** Draws of all weights in one program: each is a dozen nodes a layer, and what plans them has to look at all pairs. */
const MOST_DRAWS = 1024;

/** A Bayesian layer, under its name; with plain weights where the trace says so. */
export function bayesLayer(
  kind: string,
  x: Tensor,
  options: LayerOptions & BayesOptions,
  shapeOf: (name: string) => LayerShape,
): Tensor {
  const { posterior, prior, estimator, kl, bias } = options;
  const s = settings({ posterior, prior, estimator, kl, bias }, layersOf().bayes);
  const build = (name: string) =>
    isBayesian(name, true)
      ? stochastic(kind, name, x, shapeOf(name), s)
      : plain(name, x, shapeOf(name), s.bias !== false);
  return scope(kind, options, build, `posterior ${s.posterior.name}, prior ${s.prior.name}, KL ${s.kl}`);
}

/** A layer with posteriors in a trace: its weights, and what the trace computes of them. */
function stochastic(
  kind: string,
  name: string,
  x: Tensor,
  { weight, outputs, fanIn, ...ops }: LayerShape,
  s: BayesSettings,
): Tensor {
  const w = bayesWeight(`${name}/weight`, weight, fanIn, s);
  const b = s.bias === true ? bayesWeight(`${name}/bias`, [outputs], fanIn, s) : undefined;
  const biasMu = s.bias === "point" ? pointWeight(`${name}/bias`, [outputs], fanIn) : b?.mu;
  return passOf().layer({ kind, name, x, w, b, biasMu, ...ops }, s.estimator);
}

/** A layer with posteriors, where its parameters are there. */
interface Stochastic extends Pick<LayerShape, "point" | "local"> {
  readonly kind: string;
  readonly name: string;
  readonly x: Tensor;
  readonly w: WeightDistribution;
  readonly b: WeightDistribution | undefined;
  readonly biasMu: Tensor | undefined;
}

/** What a trace computes: all that layers ask of its mode. */
interface Pass {
  /** Whether it draws: layers that are random in predictions are, and a KL without closed form is sampled. */
  readonly draws: boolean;
  readonly layer: (of: Stochastic, estimator: BayesSettings["estimator"]) => Tensor;
}

const passes: Readonly<Record<Mode, Pass>> = {
  mean: { draws: false, layer: ({ point, x, w, biasMu }) => point(x, w.mu, biasMu) },
  sample: { draws: true, layer: (of, estimator) => (estimator === "local" ? drawnOutputs(of) : drawnWeights(of)) },
};

/** The pass of the trace under way. */
export const passOf = (): Pass => passes[trace().mode];

const drawnOutputs = ({ name, x, w, b, biasMu, local }: Stochastic): Tensor =>
  local(x, { mu: w.mu, sigma2: w.sigma2, biasMu, biasSigma2: b?.sigma2 }, noiseFor(name));

function drawnWeights({ kind, x, w, b, biasMu, point }: Stochastic): Tensor {
  const { samples } = trace();
  if (samples > MOST_DRAWS)
    fail(kind, `at most ${MOST_DRAWS} samples with estimator "weight", which repeats the layer for each`, samples);
  const weights = drawWeights(w);
  const biases = b && drawWeights(b);
  return perSample(x, (part, i) => point(part, weights[i], biases ? biases[i] : biasMu));
}

/** Throws unless `x` is a traced tensor (of this rank; `what` says how it should look). Returns its shape. */
export function checkInput(where: string, x: Tensor, rank?: number, what?: string): Shape {
  if (!Tensor.is(x)) fail(where, "a traced tensor", x);
  if (x.shape.length === 0 || x.shape.length !== (rank ?? x.shape.length))
    fail(where, `an input of shape ${what ?? "[batch, ..., channels]"}`, x.shape);
  return x.shape;
}

/** Throws unless the numbers of filters and groups and the kernel make sense. Returns the kernel's [height, width]. */
export function checkKernel(where: string, filters: number, kernel: Pair, groups: number): [number, number] {
  checkInt(where, "the number of filters", filters, 1, 1 << 20);
  checkInt(where, "groups", groups, 1);
  const sides = typeof kernel === "number" ? [kernel, kernel] : kernel;
  if (!Array.isArray(sides) || sides.length !== 2) fail(where, "the kernel as a size or [height, width]", kernel);
  return [0, 1].map((i) => checkInt(where, "the kernel size", sides[i], 1, 1 << 15)) as [number, number];
}

/** A plain parameter: He-normal weights (He et al. 2015), zero biases. */
function pointWeight(name: string, shape: Shape, fanIn: number): Tensor {
  const n = sizeOf(shape);
  const bias = name.endsWith("/bias");
  return masked(
    name,
    parameter(name, shape, () => (bias ? new Float32Array(n) : initNormals(name, n, Math.sqrt(2 / fanIn)))),
  );
}

/** A weight or bias with a posterior; its KL term is recorded once per trace, however often it is used. */
function bayesWeight(name: string, shape: Shape, fanIn: number, s: BayesSettings): WeightDistribution {
  const w = s.posterior.weight(name, shape, fanIn);
  if (!Tensor.is(w?.mu) || !Tensor.is(w.sigma2) || typeof w.closedKl !== "function")
    fail(name, `posterior ${s.posterior.name} to give { mu, sigma2, closedKl }, the first two traced tensors`, w);
  const mask = maskOf(name);
  const closed = s.kl === "closed" ? w.closedKl(s.prior, mask) : undefined;
  if (closed) checkHeeds(mask, closed, s.prior, name);
  const { kl } = layersOf();
  if (!kl.some((term) => term.layer === name)) {
    const value = closed ?? (passOf().draws ? sampledKl(w, s.prior, mask) : undefined);
    if (value) kl.push({ layer: name, value, prior: s.prior });
  }
  return { ...w, mu: masked(name, w.mu), sigma2: masked(name, w.sigma2) };
}

/** log q(w) - log p(w) of one draw of the weights (Blundell et al. 2015, eq. 2; the paper's own KL). */
function sampledKl(w: WeightDistribution, prior: BayesSettings["prior"], mask: Tensor | undefined): Tensor {
  if (!prior.logDensity)
    throw new BayesError(`[${w.name}] expected a prior with a closed-form KL or a log density, received ${prior.name}`);
  const eps = weightNoise(w)[0];
  const draw = add(w.mu, mul(sqrt(w.sigma2), eps));
  const density = prior.logDensity(draw, w.mu, w.name, mask);
  checkHeeds(mask, density, prior, w.name);
  return sub(logPosteriorSum(w.sigma2, eps, mask), density);
}

/** Throws unless what a prior says is a number, and what it says of a pruned weight depends on its mask: pruned weights would count otherwise. */
function checkHeeds(mask: Tensor | undefined, value: Tensor, prior: BayesSettings["prior"], name: string): void {
  if (!Tensor.is(value) || value.size !== 1) fail(name, `a traced scalar from prior ${prior.name}`, value);
  const { leaf } = mask?.node ?? {};
  if (leaf?.kind !== "store" || topo([value]).some(({ leaf: l }) => l?.kind === "store" && l.name === leaf.name))
    return;
  fail(name, "a prior that leaves the pruned weights out, by the mask that it is given", prior.name);
}

// weight noise is row 0's: one draw for the whole batch
function weightNoise(w: WeightDistribution): Tensor[] {
  const noise = noiseFor(w.name, true);
  const { shape } = w.mu;
  const eps = gaussianNoise({ ...noise, rows: constant(Int32Array.of(0)) }, shape);
  return Array.from({ length: noise.samples }, (_, s) =>
    reshape(noise.samples === 1 ? eps : slice(eps, [s, ...shape.map(() => 0)], [1, ...shape]), shape),
  );
}

/** One draw of the whole weight tensor per Monte-Carlo sample of the trace: mu + sigma * eps. */
function drawWeights(w: WeightDistribution): Tensor[] {
  const sigma = sqrt(w.sigma2);
  return weightNoise(w).map((eps) => add(w.mu, mul(sigma, eps)));
}

/** Applies `f` to each Monte-Carlo sample's part of the batch (or to the whole batch, where samples still share it). */
function perSample(x: Tensor, f: (part: Tensor, sample: number) => Tensor): Tensor {
  const { samples, noise } = trace();
  const batch = noise?.rows.shape[0] ?? x.shape[0];
  const shared = x.shape[0] === batch;
  const parts = Array.from({ length: samples }, (_, s) =>
    f(shared ? x : slice(x, [s * batch, ...x.shape.slice(1).map(() => 0)], [batch, ...x.shape.slice(1)]), s),
  );
  return samples === 1 ? parts[0] : concat(parts, 0);
}
