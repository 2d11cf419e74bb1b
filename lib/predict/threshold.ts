/**
 * When to say "I don't know". The examples are sorted by how sure the model is of them; a threshold on that certainty
 * answers the surest ones and leaves the others to somebody else (Geifman and El-Yaniv 2017).
 */
import { sizeOf } from "../graph/node.ts";
import {
  certaintyOf,
  type Likelihood,
  ours,
  type PredictionOf,
  type Targets,
  type Threshold,
} from "../likelihoods/shared/likelihood.ts";
import { wilson } from "../metrics/statistics.ts";
import type { Model } from "../models/model.ts";
import { checkArray } from "../util/arrays.ts";
import { checkInt, checkNumber, checkObject, checkOptions, fail, words } from "../util/errors.ts";

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
 * at most that, judged by the upper end of the 95 % interval of their cost and not by what they happened to cost here: of
 * all thresholds the luckiest would be taken, and would cost more on the next images. Few answers prove little, so a
 * small error needs many examples.
 * @throws BayesError when no threshold gives what was asked for
 */
export function chooseThreshold<L extends Likelihood>(
  model: Model<L>,
  prediction: PredictionOf<L>,
  targets: Targets,
  options: ThresholdOptions,
): Threshold {
  const where = "threshold";
  const asked = checkOptions(where, options, { maxError: "number", minCoverage: "number" });
  const { maxError, minCoverage } = asked;
  if ((maxError === undefined) === (minCoverage === undefined))
    fail(where, "maxError, or else minCoverage", words(maxError === undefined ? "neither" : "both"));
  const { likelihood } = checkObject(where, "a model", model);
  checkObject(where, "a model with a likelihood", likelihood);
  if (!likelihood.cost)
    fail(where, "a likelihood that says what an answer costs (its method cost)", likelihood.config.kind);
  const { count, mean, epistemicTotal } = checkObject(where, "a prediction of the model", prediction);
  if (ours.has(likelihood)) {
    checkInt(where, "the number of images of the prediction", count, 1);
    for (const values of [mean, epistemicTotal]) checkArray(where, "a prediction's values", values, "Float32Array");
  }
  checkArray(where, "targets", targets, "Int32Array", "Float32Array");
  const certainty = certaintyOf(likelihood, prediction);
  const n = certainty.length;
  const values = n * sizeOf(model.targetShape);
  if (targets?.length !== values)
    fail(where, `${values} targets for ${n} predictions`, targets?.length, "ERR_BAYES_DATA");
  const cost = likelihood.cost(prediction, targets);
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => certainty[b] - certainty[a]);
  if (maxError !== undefined) checkNumber(where, "maxError", maxError, 0, likelihood.mostCost);
  if (minCoverage !== undefined) checkNumber(where, "minCoverage", minCoverage, Number.MIN_VALUE, 1);
  const most = likelihood.mostCost ?? cost.reduce((a, b) => Math.max(a, b), 0);
  const costs = new Costs();
  let best: Threshold | undefined;
  for (let k = 0; k < n; k++) {
    costs.add(cost[order[k]]);
    const at = certainty[order[k]];
    if (k + 1 < n && certainty[order[k + 1]] === at) continue; // equal certainty: all or none
    const fits =
      maxError === undefined
        ? best === undefined && (k + 1) / n >= minCoverage!
        : Math.max(costs.interval[1], (costs.sum + most) / (k + 2)) <= maxError; // few costs alike have no spread to see
    if (fits) best = { certainty: at, ...asked, risk: costs.risk, coverage: (k + 1) / n, count: n };
  }
  if (best) return best;
  const least = selective(certainty, cost, certainty[order[Math.min(n - 1, 99)]]);
  return fail(
    where,
    `a threshold whose answers cost at most ${maxError} on ${n} examples (the surest ${least.answered} cost ${least.risk.toPrecision(2)}; few answers prove little: more examples help)`,
    words("none"),
    "ERR_BAYES_DATA",
  );
}

/** Risk and coverage of a threshold on some data: certainty and cost as the likelihood gives them. */
export function selective(certainty: Float64Array, cost: Float64Array, threshold: number): SelectiveResult {
  const costs = new Costs();
  for (let i = 0; i < certainty.length; i++) if (certainty[i] >= threshold) costs.add(cost[i]);
  const { risk, interval, answered } = costs;
  const count = certainty.length;
  return { coverage: answered / count, risk, interval, answered, count };
}

/** Sums of the costs of answers, for their mean and its 95 % interval. */
class Costs {
  answered = 0;
  sum = 0;
  #squares = 0;
  #binary = true;

  add(cost: number): void {
    this.answered++;
    this.sum += cost;
    this.#squares += cost ** 2;
    if (cost !== 0 && cost !== 1) this.#binary = false;
  }

  get risk(): number {
    return this.answered === 0 ? 0 : this.sum / this.answered;
  }

  get interval(): readonly [low: number, high: number] {
    const { answered: n, risk } = this;
    if (n === 0) return [0, 0];
    if (this.#binary) return wilson(risk, n);
    const half = 1.96 * Math.sqrt(Math.max(0, this.#squares / n - risk * risk) / n);
    return [risk - half, risk + half];
  }
}
