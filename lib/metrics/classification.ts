/** Accuracy and proper scores of the mean prediction [N, C] (float32 in, float64 sums). */
import { adaptiveEce, ece } from "./calibration.ts";
import { argmax, checkLabelled, type Floats, type Labels } from "./input.ts";

/** The figures every evaluation reports. */
export type ClassificationMetrics = {
  /** number of examples N */
  readonly count: number;
  /** share of examples whose most probable class is the label */
  readonly accuracy: number;
  /** mean negative log-likelihood in nats */
  readonly nll: number;
  /** mean Brier score, from 0 to 2 */
  readonly brier: number;
  /** expected calibration error, 15 equal-width bins, as a fraction */
  readonly ece: number;
  /** expected calibration error, 15 equal-mass bins, as a fraction */
  readonly adaptiveEce: number;
  /** mean probability given to the predicted class; above the accuracy means overconfident */
  readonly confidence: number;
};

/** The smallest normal float32. A probability below it counts as it, so one hopeless example costs 87.3 nats, not infinity. */
export const PROBABILITY_FLOOR = 2 ** -126;

/**
 * Share of rows whose most probable class (the first, in a tie) is the label.
 * @param probs [N, C]
 * @param labels [N]
 */
export function accuracy(probs: Floats, labels: Labels): number {
  const { rows, classes } = checkLabelled("accuracy", probs, labels);
  let hits = 0;
  for (let n = 0; n < rows; n++) if (argmax(probs, n, classes) === labels[n]) hits++;
  return hits / rows;
}

/**
 * Mean negative log-likelihood of the labels in nats. For a Bayesian model pass the mean of the sampled probabilities:
 * the log is taken after the mean. Probabilities are floored at 2^-126.
 * @param probs [N, C]
 * @param labels [N]
 */
export function nll(probs: Floats, labels: Labels): number {
  const { rows, classes } = checkLabelled("nll", probs, labels);
  let sum = 0;
  for (let n = 0; n < rows; n++) sum -= Math.log(Math.max(probs[n * classes + labels[n]], PROBABILITY_FLOOR));
  // A float32 probability may round to just above 1; a likelihood loss below zero would only confuse.
  return Math.max(0, sum / rows);
}

/**
 * Brier score: mean over the examples of sum_c (p_c - [c is the label])^2 (Brier 1950), from 0 (perfect) to 2.
 * @param probs [N, C]
 * @param labels [N]
 */
export function brier(probs: Floats, labels: Labels): number {
  const { rows, classes } = checkLabelled("brier", probs, labels);
  let sum = 0;
  for (let n = 0; n < rows; n++) {
    for (let c = 0; c < classes; c++) sum += (probs[n * classes + c] - (c === labels[n] ? 1 : 0)) ** 2;
  }
  return sum / rows;
}

/**
 * All figures of an evaluation at once.
 * @param probs [N, C] mean probabilities
 * @param labels [N]
 * @throws BayesError when the lengths do not fit, a label is out of range or a row is not a distribution
 */
export function classificationMetrics(probs: Floats, labels: Labels): ClassificationMetrics {
  const { rows, classes } = checkLabelled("classificationMetrics", probs, labels);
  let confidence = 0;
  for (let n = 0; n < rows; n++) confidence += probs[n * classes + argmax(probs, n, classes)];
  return {
    count: rows,
    accuracy: accuracy(probs, labels),
    nll: nll(probs, labels),
    brier: brier(probs, labels),
    ece: ece(probs, labels),
    adaptiveEce: adaptiveEce(probs, labels),
    confidence: confidence / rows,
  };
}
