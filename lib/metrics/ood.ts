/**
 * Is an uncertainty score any good at telling strange inputs from familiar ones, and wrong answers from right ones?
 *
 * Convention: out-of-distribution is the positive class and a higher score means "more likely out", so an uncertainty
 * (entropy, epistemic variance) is passed as it is and a confidence with its sign flipped.
 */
import { asArray } from "../util/arrays.ts";
import { fail, words } from "../util/errors.ts";
import { sortShared } from "./calibration.ts";

/** One score per example. */
export type Scores = Float32Array | Float64Array | readonly number[];

/** Risk against coverage, from the most confident example alone to all of them. */
export interface RiskCoverageResult {
  /** [N] share of examples answered, (k + 1) / N */
  coverage: Float64Array;
  /** [N] error rate among those answered */
  risk: Float64Array;
  /** area under the curve: mean of `risk`; lower is better */
  aurc: number;
}

/**
 * Area under the ROC curve: the chance that a random out-of-distribution score is above a random in-distribution one,
 * ties counting one half (Mann-Whitney rank statistic). 0.5 is guessing, 1 is perfect.
 */
export function auroc(scoresIn: Scores, scoresOut: Scores): number {
  let pairs = 0;
  let below = 0;
  for (const group of groups("auroc", scoresIn, scoresOut).reverse()) {
    pairs += group.out * (below + group.in / 2);
    below += group.in;
  }
  return pairs / (scoresIn.length * scoresOut.length);
}

/**
 * Area under the precision-recall curve as average precision: sum over thresholds of the gain in recall times the
 * precision there, without interpolation. Its chance level is the share of out-of-distribution examples.
 */
export function aupr(scoresIn: Scores, scoresOut: Scores): number {
  let area = 0;
  let tp = 0;
  let fp = 0;
  for (const group of groups("aupr", scoresIn, scoresOut)) {
    tp += group.out;
    fp += group.in;
    area += (group.out / scoresOut.length) * (tp / (tp + fp));
  }
  return area;
}

/**
 * False positive rate at 95 % true positive rate: the share of in-distribution examples flagged at the highest threshold
 * (score >= threshold) that still flags at least 95 % of the out-of-distribution ones. Lower is better.
 */
export function fpr95(scoresIn: Scores, scoresOut: Scores): number {
  let tp = 0;
  let fp = 0;
  for (const group of groups("fpr95", scoresIn, scoresOut)) {
    tp += group.out;
    fp += group.in;
    // In integers: 0.95 * N would round.
    if (tp * 100 >= scoresOut.length * 95) break;
  }
  return fp / scoresIn.length;
}

/**
 * Selective prediction (Geifman and El-Yaniv 2017): answer the most confident share of the examples, see how often those
 * answers are wrong. Within equal confidences the risk is its expectation over their order.
 * @param confidence [N], higher answers first
 * @param correct [N] of 0 / 1 or booleans
 */
export function riskCoverage(confidence: Scores, correct: ArrayLike<number | boolean>): RiskCoverageResult {
  checkScores("riskCoverage", "confidence", confidence);
  const n = confidence.length;
  if (correct?.length !== n) fail("riskCoverage", `${n} entries in correct, one per confidence`, correct?.length);
  const wrong = Float64Array.from(correct, (c, i) => {
    if (c !== 0 && c !== 1 && c !== true && c !== false)
      fail("riskCoverage", `correct[${i}] to be 0, 1 or a boolean`, c);
    return c ? 0 : 1;
  });
  const { value } = sortShared(confidence, wrong);
  const coverage = new Float64Array(n);
  const risk = new Float64Array(n);
  let errors = 0;
  let area = 0;
  for (let k = 0; k < n; k++) {
    errors += value[n - 1 - k];
    coverage[k] = (k + 1) / n;
    risk[k] = errors / (k + 1);
    area += risk[k];
  }
  return { coverage, risk, aurc: area / n };
}

/** Numbers of in- and out-of-distribution examples at each distinct score, highest score first. */
function groups(where: string, scoresIn: Scores, scoresOut: Scores): { in: number; out: number }[] {
  checkScores(where, "in-distribution", scoresIn);
  checkScores(where, "out-of-distribution", scoresOut);
  const a = Float64Array.from(scoresIn).sort();
  const b = Float64Array.from(scoresOut).sort();
  const out: { in: number; out: number }[] = [];
  let i = a.length - 1;
  let j = b.length - 1;
  while (i >= 0 || j >= 0) {
    const score = Math.max(i >= 0 ? a[i] : -Infinity, j >= 0 ? b[j] : -Infinity);
    const group = { in: 0, out: 0 };
    for (; i >= 0 && a[i] === score; i--) group.in++;
    for (; j >= 0 && b[j] === score; j--) group.out++;
    out.push(group);
  }
  return out;
}

function checkScores(where: string, what: string, scores: Scores): void {
  if (!Array.isArray(scores) && !asArray(scores, "Float32Array", "Float64Array"))
    fail(where, `${what} scores as a list of numbers`, scores);
  if (scores.length === 0) fail(where, `at least one ${what} score`, words("none"));
  for (let i = 0; i < scores.length; i++) {
    if (typeof scores[i] !== "number" || Number.isNaN(scores[i]))
      fail(where, `${what} score ${i} to be a number`, scores[i]);
  }
}
