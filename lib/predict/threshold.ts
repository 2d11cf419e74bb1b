/**
 * When to say "I don't know". The examples are sorted by how sure the model is of them; a threshold on that certainty
 * answers the surest ones and leaves the others to somebody else (Geifman and El-Yaniv 2017).
 */
import { checkNumber, checkOptions, fail } from "../errors.ts";
import { certaintyOf, type Likelihood, type PredictionOf, type Targets } from "../likelihoods/likelihood.ts";
import type { Model, Threshold } from "../models/model.ts";

/** How good the answers are that a threshold lets through. */
export interface SelectiveResult {
  /** Share of the examples that are answered. */
  readonly coverage: number;
  /** Mean cost of the answers: their error rate, for classes; 0 where there are none. */
  readonly risk: number;
  /** 95 % interval of the risk: Wilson's for errors, a normal one for other costs. */
  readonly interval: readonly [low: number, high: number];
  readonly answered: number;
  readonly count: number;
}

/** What a threshold is asked for: one of the two. */
export interface ThresholdOptions {
  /** The mean cost of the answers (the error rate, of classes) is to be at most this. */
  readonly maxError?: number;
  /** At least this share of the examples is to be answered. */
  readonly minCoverage?: number;
}

/**
 * Chooses a threshold on data that the model was not trained on. With `maxError` it is the lowest one whose answers cost
 * (sum + most) / (answers + 1) or less, where `most` is the largest cost there is (1 for classes, the largest seen for numbers): the correction of
 * conformal risk control (Angelopoulos et al. 2024) for having chosen it on these examples.
 * @throws BayesError when no threshold gives what was asked for
 */
export function chooseThreshold<L extends Likelihood>(
  model: Model<L>,
  prediction: PredictionOf<L>,
  targets: Targets,
  options: ThresholdOptions,
): Threshold {
  const where = "threshold";
  checkOptions(where, options, { maxError: "number", minCoverage: "number" });
  const { maxError, minCoverage } = options;
  if ((maxError === undefined) === (minCoverage === undefined))
    fail(where, "maxError, or else minCoverage", maxError === undefined ? "neither" : "both");
  const { likelihood } = model;
  if (!likelihood.cost)
    fail(where, "a likelihood that says what an answer costs (its method cost)", likelihood.config.kind);
  const certainty = certaintyOf(likelihood, prediction);
  const cost = likelihood.cost(prediction, targets);
  const n = certainty.length;
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => certainty[b] - certainty[a]);
  if (maxError !== undefined) checkNumber(where, "maxError", maxError, 0);
  if (minCoverage !== undefined) checkNumber(where, "minCoverage", minCoverage, 0, 1);
  const most = likelihood.mostCost ?? cost.reduce((a, b) => Math.max(a, b), 0);
  let best: Threshold | undefined;
  let sum = 0;
  for (let k = 0; k < n; k++) {
    sum += cost[order[k]];
    const at = certainty[order[k]];
    if (k + 1 < n && certainty[order[k + 1]] === at) continue; // equal certainty: all or none
    const fits =
      maxError === undefined ? best === undefined && (k + 1) / n >= minCoverage! : (sum + most) / (k + 2) <= maxError;
    if (fits) best = { certainty: at, ...options, risk: sum / (k + 1), coverage: (k + 1) / n, count: n };
  }
  if (best) return best;
  const least = selective(certainty, cost, certainty[order[Math.min(n - 1, 99)]]);
  return fail(
    where,
    `a threshold whose answers cost at most ${maxError} on ${n} examples (the surest ${least.answered} cost ${least.risk.toPrecision(2)}, and too few answers prove nothing)`,
    "none",
  );
}

/** Risk and coverage of a threshold on some data: certainty and cost as the likelihood gives them. */
export function selective(certainty: Float64Array, cost: Float64Array, threshold: number): SelectiveResult {
  let [answered, sum, squares, binary] = [0, 0, 0, true];
  for (let i = 0; i < certainty.length; i++) {
    if (!(certainty[i] >= threshold)) continue;
    answered++;
    sum += cost[i];
    squares += cost[i] ** 2;
    if (cost[i] !== 0 && cost[i] !== 1) binary = false;
  }
  const count = certainty.length;
  if (answered === 0) return { coverage: 0, risk: 0, interval: [0, 0], answered, count };
  const risk = sum / answered;
  const spread = Math.sqrt(Math.max(0, squares / answered - risk * risk) / answered);
  const interval = binary ? wilson(sum, answered) : ([risk - 1.96 * spread, risk + 1.96 * spread] as const);
  return { coverage: answered / count, risk, interval, answered, count };
}

/** Wilson's 95 % interval of a share: k of n. */
export function wilson(k: number, n: number): readonly [number, number] {
  const z = 1.959963984540054;
  const p = k / n;
  const middle = (p + (z * z) / (2 * n)) / (1 + (z * z) / n);
  const half = (z * Math.sqrt((p * (1 - p)) / n + (z * z) / (4 * n * n))) / (1 + (z * z) / n);
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}
