/** Means and variances over the Monte-Carlo samples, in float64: the law of total variance, once for every likelihood. */
import type { Tensor } from "../../graph/node.ts";
import { average } from "../../metrics/statistics.ts";
import { mean, square, sub } from "../../ops/index.ts";
import { checkArray } from "../../util/arrays.ts";
import { checkInt, fail } from "../../util/errors.ts";
import { newArray } from "../../util/memory.ts";
import type { Figure } from "./likelihood.ts";

/**
 * Var y = Var E[y | w] + E Var[y | w]: the variance of the samples' means, and the mean of the samples' variances.
 * The centred form is never negative, unlike E m^2 - (E m)^2.
 * @param means [S, N * D]
 * @param variance of the values of one sample, by index into `means`
 */
export function totalVariance(
  means: Float32Array,
  variance: (i: number) => number,
  samples: number,
  count: number,
): Pick<Moments, "mean" | "epistemic" | "aleatoric" | "epistemicTotal" | "aleatoricTotal"> {
  const where = "totalVariance";
  checkArray(where, "means", means, "Float32Array");
  checkInt(where, "samples", samples, 1);
  checkInt(where, "the number of examples", count, 1);
  if (typeof variance !== "function") fail(where, "a function that gives the variance of each value", variance);
  const size = means.length / samples;
  const each = size / count;
  if (!Number.isInteger(each)) fail(where, `as many values for each of ${samples} samples of ${count} examples`, means);
  const mean = new Float64Array(size);
  for (let s = 0, k = 0; s < samples; s++) for (let i = 0; i < size; i++) mean[i] += means[k++];
  for (let i = 0; i < size; i++) mean[i] /= samples;
  const epistemic = new Float64Array(size);
  const aleatoric = new Float64Array(size);
  for (let s = 0, k = 0; s < samples; s++)
    for (let i = 0; i < size; i++, k++) {
      const d = means[k] - mean[i];
      epistemic[i] += d * d;
      aleatoric[i] += variance(k);
    }
  const epistemicTotal = new Float32Array(count);
  const aleatoricTotal = new Float32Array(count);
  for (let n = 0, i = 0; n < count; n++) {
    let [e, a] = [0, 0];
    for (let c = 0; c < each; c++, i++) {
      e += epistemic[i] /= samples;
      a += aleatoric[i] = Math.max(0, aleatoric[i] / samples); // a probability may round to a hair above 1
    }
    epistemicTotal[n] = e;
    aleatoricTotal[n] = a;
  }
  return {
    mean: new Float32Array(mean),
    epistemic: new Float32Array(epistemic),
    aleatoric: new Float32Array(aleatoric),
    epistemicTotal,
    aleatoricTotal,
  };
}

export interface Moments {
  readonly mean: Float32Array;
  readonly epistemic: Float32Array;
  readonly aleatoric: Float32Array;
  readonly epistemicTotal: Float32Array;
  readonly aleatoricTotal: Float32Array;
}

/** The same as a program: from each sample's mean and variance, [S, B, D], to [B, D]. */
export function tracedMoments(
  means: Tensor,
  variances: Tensor,
): { mean: Tensor; epistemic: Tensor; aleatoric: Tensor } {
  const centred = sub(means, mean(means, 0, { keepdims: true }));
  return { mean: mean(means, 0), epistemic: mean(square(centred), 0), aleatoric: mean(variances, 0) };
}

/** ln of the sum of e^x, without overflow. */
export function logSumExp(x: Float32Array | Float64Array): number {
  let most = -Infinity;
  for (const v of x) if (v > most) most = v;
  if (most === -Infinity) return most;
  let sum = 0;
  for (const v of x) sum += Math.exp(v - most);
  return most + Math.log(sum);
}

/**
 * Negative log-likelihood of the predictive distribution, a mean over the examples in nats: -ln of the mean over the samples
 * of a target's likelihood, which no sample's underflow disturbs.
 * @param log ln of the likelihood of example n's whole target in sample s
 */
export const predictiveNll = (samples: number, count: number, log: (s: number, n: number) => number): number =>
  average(surprisesOf(samples, count, log));

/** The terms of {@link predictiveNll}, one an example, [N]. */
export function surprisesOf(samples: number, count: number, log: (s: number, n: number) => number): Float64Array {
  checkInt("predictiveNll", "samples", samples, 1);
  checkInt("predictiveNll", "the number of examples", count, 1, 2 ** 32);
  if (typeof log !== "function") fail("predictiveNll", "a function of sample and example", log);
  const each = newArray("predictiveNll", "f64", samples);
  return Float64Array.from({ length: count }, (_, n) => {
    for (let s = 0; s < samples; s++) each[s] = log(s, n);
    return Math.log(samples) - logSumExp(each);
  });
}

/** How the two parts of a variance are presented, whatever the likelihood. */
export const UNCERTAINTY: readonly Figure[] = [
  { name: "epistemic", title: "epistemic", hint: "variance between the samples: more data would help" },
  { name: "aleatoric", title: "aleatoric", hint: "variance within the samples: the images are unclear" },
];
