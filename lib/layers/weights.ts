import { initNormals, type WeightDistribution } from "../bayes/posterior.ts";
import type { BayesOptions } from "../bayes/settings.ts";
import { settings } from "../bayes/settings.ts";
import { BayesError } from "../errors.ts";
import { constant, type Shape, type Tensor } from "../graph/node.ts";
import { noiseFor, parameter, trace } from "../graph/trace.ts";
import { add } from "../ops/add.ts";
import { concat } from "../ops/concat.ts";
import { gaussianNoise } from "../ops/gaussianNoise.ts";
import { logPosteriorSum } from "../ops/logPosteriorSum.ts";
import { mul } from "../ops/mul.ts";
import { reshape } from "../ops/reshape.ts";
import { slice } from "../ops/slice.ts";
import { sqrt } from "../ops/sqrt.ts";
import { sub } from "../ops/sub.ts";

/** The store's name of a weight's pruning mask (1 keep, 0 pruned); there is none until the model is pruned. */
export const maskName = (weight: string): string => `mask/${weight}`;

function masked(weight: string, t: Tensor): Tensor {
  const { store } = trace();
  return store.slots.has(maskName(weight)) ? mul(t, store.tensor(maskName(weight))) : t;
}

/** A plain parameter: He-normal weights (He et al. 2015), zero biases. */
export function pointWeight(name: string, shape: Shape, fanIn: number): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  const bias = name.endsWith("/bias");
  return masked(
    name,
    parameter(name, shape, () => (bias ? new Float32Array(n) : initNormals(name, n, Math.sqrt(2 / fanIn)))),
  );
}

/** A weight or bias with a posterior; its KL term is recorded once per trace, however often it is used. */
export function bayesWeight(name: string, shape: Shape, fanIn: number, options: BayesOptions): WeightDistribution {
  const t = trace();
  const s = settings({ ...t.bayes, ...options });
  const w = s.posterior.weight(name, shape, fanIn);
  const closed = s.kl === "closed" ? w.closedKl(s.prior) : undefined;
  if (!t.kl.some((term) => term.layer === name)) {
    if (closed) t.kl.push({ layer: name, value: closed, prior: s.prior });
    else if (t.mode === "sample") t.kl.push({ layer: name, value: sampledKl(w, s.prior), prior: s.prior });
  }
  return { ...w, mu: masked(name, w.mu), sigma2: masked(name, w.sigma2) };
}

/** log q(w) - log p(w) of one draw of the weights (Blundell et al. 2015, eq. 2; the paper's own KL). */
function sampledKl(w: WeightDistribution, prior: ReturnType<typeof settings>["prior"]): Tensor {
  if (!prior.logDensity)
    throw new BayesError(`[${w.name}] expected a prior with a closed-form KL or a log density, received ${prior.name}`);
  const eps = weightNoise(w)[0];
  const draw = add(w.mu, mul(sqrt(w.sigma2), eps));
  return sub(logPosteriorSum(w.sigma2, eps), prior.logDensity(draw, w.mu, w.name));
}

// weight noise is row 0's: one draw for the whole batch
function weightNoise(w: WeightDistribution): Tensor[] {
  const noise = noiseFor(w.name);
  const { shape } = w.mu;
  const eps = gaussianNoise({ ...noise, rows: constant(Int32Array.of(0)) }, shape);
  return Array.from({ length: noise.samples }, (_, s) =>
    reshape(noise.samples === 1 ? eps : slice(eps, [s, ...shape.map(() => 0)], [1, ...shape]), shape),
  );
}

/** One draw of the whole weight tensor per Monte-Carlo sample of the trace: mu + sigma * eps. */
export function drawWeights(w: WeightDistribution): Tensor[] {
  const sigma = sqrt(w.sigma2);
  return weightNoise(w).map((eps) => add(w.mu, mul(sigma, eps)));
}

/** Applies `f` to each Monte-Carlo sample's part of the batch (or to the whole batch, where samples still share it). */
export function perSample(x: Tensor, f: (part: Tensor, sample: number) => Tensor): Tensor {
  const { samples, noise } = trace();
  const batch = noise?.rows.shape[0] ?? x.shape[0];
  const shared = x.shape[0] === batch;
  const parts = Array.from({ length: samples }, (_, s) =>
    f(shared ? x : slice(x, [s * batch, ...x.shape.slice(1).map(() => 0)], [batch, ...x.shape.slice(1)]), s),
  );
  return samples === 1 ? parts[0] : concat(parts, 0);
}
