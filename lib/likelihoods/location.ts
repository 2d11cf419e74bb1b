/** A likelihood of numbers from one symmetric density: gaussian and laplace say which. */
import { isDeepStrictEqual } from "node:util";
import type { Tensor } from "../graph/node.ts";
import { average } from "../metrics/statistics.ts";
import { add, scale as affine, broadcastLike, div, log, square, sub, sum } from "../ops/index.ts";
import { largest } from "../util/arrays.ts";
import { numberReport } from "./report/numbers.ts";
import { apart, cause } from "./shared/doubt.ts";
import { type Figure, type Likelihood, type LikelihoodConfig, ours, type Targets } from "./shared/likelihood.ts";
import { surprisesOf, totalVariance, tracedMoments, UNCERTAINTY } from "./shared/moments.ts";
import {
  copyRegression,
  fromData,
  located,
  meansShape,
  numberTargets,
  type RegressionOptions,
} from "./shared/noise.ts";
import type { NumberPrediction } from "./shared/predictions.ts";
import { perRow, rowsLike } from "./shared/rows.ts";

/** A density around a location, with a scale: p(t) = exp(-distance((t - mean) / scale) - constant) / scale. */
export interface Density {
  readonly kind: string;
  readonly constant: number;
  readonly distance: (z: number) => number;
  /** Probability of at most z at location 0 and scale 1. */
  readonly cdf: (z: number) => number;
  /** `distance` as a program, elementwise. */
  readonly traced: (z: Tensor) => Tensor;
  /** Variance at scale 1. */
  readonly variance: number;
}

const FIGURES: readonly Figure[] = [
  { name: "rmse", title: "RMSE", hint: "root of the mean squared error, in units of the targets", better: "lower" },
  { name: "nll", title: "NLL", hint: "nats an image; surprise at its whole target", better: "lower" },
  {
    name: "coverage90",
    title: "coverage",
    hint: "targets within 1.645 predictive sigma of the mean: should be 90 %",
    share: true,
  },
  { name: "mae", title: "MAE", hint: "mean absolute error, in units of the targets", better: "lower" },
  ...UNCERTAINTY,
];

/** Builds the likelihood of a {@link Density}. */
export function locationScale(density: Density, given: RegressionOptions = {}): Likelihood<NumberPrediction> {
  const { kind } = density;
  const options = copyRegression(kind, given);
  const { noise = "learned", names } = options;
  const config: LikelihoodConfig = Object.freeze({ kind, ...options, noise });
  const self: Likelihood<NumberPrediction> = {
    config,
    outputs: (names?.length ?? options.center?.length ?? 1) * (noise === "predicted" ? 2 : 1),
    figures: FIGURES,

    targetShape: (where, output) => meansShape(where, output, options),
    targets: (where, data, shape) => numberTargets(where, kind, data, shape, names),
    informed(data) {
      const full = fromData(options, data);
      return full === options ? self : locationScale(density, full);
    },
    agrees: (other) =>
      other.kind === kind &&
      other.noise === noise &&
      (["center", "spread", "names"] as const).every(
        (key) => !other[key] || !config[key] || isDeepStrictEqual(other[key], config[key]),
      ),

    nll(output, targets) {
      const { mean, scale } = located(output, options);
      const z = div(sub(rowsLike(targets, mean), mean), scale);
      const logScale = broadcastLike(log(scale), mean);
      return affine(perRow(add(density.traced(z), logScale)), 1, (mean.size / mean.shape[0]) * density.constant);
    },
    counts(output, targets) {
      const { mean } = located(output, options);
      return { mse: affine(sum(square(sub(rowsLike(targets, mean), mean))), mean.shape[0] / mean.size) };
    },
    heads(output) {
      const { mean, scale } = located(output, options);
      return { mean, variance: broadcastLike(affine(square(scale), density.variance), mean) };
    },
    prediction(outputs, samples, count, shape) {
      const moments = totalVariance(outputs.mean, (i) => outputs.variance[i], samples, count);
      const sigma = moments.epistemic.map((e, i) => Math.sqrt(e + moments.aleatoric[i]));
      return { samples, count, shape, outputs, ...moments, sigma, ...(names ? { names } : {}) };
    },
    metrics: (p, targets) => ({
      count: p.count,
      nll: average(surprises(density, p, targets)),
      ...errors(p, targets),
      coverage90: average(central(density, p, targets).map((c) => Number(c <= 0.9))),
      epistemic: average(p.epistemicTotal),
      aleatoric: average(p.aleatoricTotal),
    }),
    // as sure as its largest standard deviation is small
    certainty: (p) => perExample(p, (i) => -p.sigma[i], Math.min, Number.POSITIVE_INFINITY),
    cost: (p, targets) => {
      const sum = perExample(
        p,
        (i) => Math.abs(targets[i] - p.mean[i]),
        (a, b) => a + b,
        0,
      );
      return sum.map((e) => (e * p.count) / p.mean.length);
    },
    answer(p, n) {
      const D = p.mean.length / p.count;
      const [mean, sigma] = [p.mean, p.sigma].map((x) => [...x.subarray(n * D, (n + 1) * D)]);
      const text = mean.map((m, d) => `${names ? `${names[d]} ` : ""}${round(m)} ± ${round(sigma[d])}`);
      return {
        text: D <= 8 ? text.join(", ") : `${D} numbers, sigma up to ${round(largest(sigma))}`,
        mean,
        sigma,
        epistemic: p.epistemicTotal[n],
        aleatoric: p.aleatoricTotal[n],
      };
    },
    doubt(p, n, limit) {
      const D = p.mean.length / p.count;
      const sigma = p.sigma.subarray(n * D, (n + 1) * D);
      const d = sigma.reduce((most, s, i) => (s > sigma[most] ? i : most), 0);
      const [own, most] = apart(sigma[d], -limit, (x, digits) => String(Number(x.toPrecision(digits))));
      const which = names ? `${names[d]} ` : D > 1 ? `value ${d} ` : "";
      const part = cause(p, n, "most of it is noise");
      return `${which}${round(p.mean[n * D + d])}: its spread ± ${own} is more than the limit ± ${most}${part}`;
    },
    summary: ({ mean, variance }) => tracedMoments(mean, variance),
    report: numberReport({
      nlls: (p, targets) => surprises(density, p, targets),
      central: (p, targets) => central(density, p, targets),
    }),
  };
  ours.add(self);
  return Object.freeze(self);
}

const round = (x: number): string => String(Number(x.toPrecision(3)));

/** Combines something of each value of an example's target, [N]. */
function perExample(
  p: NumberPrediction,
  of: (i: number) => number,
  combine: (a: number, b: number) => number,
  start: number,
): Float64Array {
  const D = p.mean.length / p.count;
  return Float64Array.from({ length: p.count }, (_, n) => {
    let all = start;
    for (let i = n * D; i < (n + 1) * D; i++) all = combine(all, of(i));
    return all;
  });
}

/** ln of the density of example n's target in sample s, all of its values together. */
const logDensity =
  (density: Density, { count, outputs: { mean, variance } }: NumberPrediction, targets: Targets) =>
  (s: number, n: number): number => {
    const D = targets.length / count;
    let sum = 0;
    for (let d = 0; d < D; d++) {
      const i = (s * count + n) * D + d;
      const scale = Math.sqrt(variance[i] / density.variance);
      sum -= density.constant + Math.log(scale) + density.distance((targets[n * D + d] - mean[i]) / scale);
    }
    return sum;
  };

/** -ln of the mean over the samples of a target's density, all of its values together: nats of each example, [N]. */
const surprises = (density: Density, p: NumberPrediction, targets: Targets): Float64Array =>
  surprisesOf(p.samples, p.count, logDensity(density, p, targets));

/**
 * The least central interval of the predictive distribution (the mixture of the samples' densities) that holds each
 * target, [N * D]: 0 at its median, 0.9 at the ends of its central 90 %.
 */
function central(density: Density, p: NumberPrediction, targets: Targets): Float64Array {
  const { mean, variance } = p.outputs;
  const below = new Float64Array(targets.length);
  for (let s = 0, i = 0; s < p.samples; s++)
    for (let k = 0; k < targets.length; k++, i++)
      below[k] += density.cdf((targets[k] - mean[i]) / Math.sqrt(variance[i] / density.variance));
  return below.map((sum) => Math.abs((2 * sum) / p.samples - 1));
}

/** Errors of the predictive mean. */
function errors(p: NumberPrediction, targets: Targets): { rmse: number; mae: number } {
  let [squares, absolute] = [0, 0];
  for (let i = 0; i < targets.length; i++) {
    const e = targets[i] - p.mean[i];
    squares += e * e;
    absolute += Math.abs(e);
  }
  return { rmse: Math.sqrt(squares / targets.length), mae: absolute / targets.length };
}
