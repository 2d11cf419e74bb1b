/**
 * Does a confidence of 90 % mean right nine times in ten? Predictions are sorted into bins by the probability of the
 * predicted class (top-label confidence) and each bin's mean confidence is compared with its accuracy.
 */
import { checkInt, checkOptions } from "../util/errors.ts";
import { argmax, checkLabelled, type Floats, type Labels } from "./input.ts";

/** One bin of a reliability diagram: predictions whose confidence is in (lower, upper]. */
export interface ReliabilityBin {
  lower: number;
  upper: number;
  /** number of predictions in the bin */
  count: number;
  /** their mean confidence, 0 in an empty bin */
  confidence: number;
  /** share of them that are right, 0 in an empty bin */
  accuracy: number;
}

export interface BinOptions {
  /** number of bins, 15 unless told */
  bins?: number;
}

/** Top-label confidence and correctness (0 or 1) of every row. */
export function topLabel(probs: Floats, labels: Labels): { confidence: Float64Array; correct: Uint8Array } {
  const { rows, classes } = checkLabelled("topLabel", probs, labels);
  const confidence = new Float64Array(rows);
  const correct = new Uint8Array(rows);
  for (let n = 0; n < rows; n++) {
    const c = argmax(probs, n, classes);
    confidence[n] = probs[n * classes + c];
    correct[n] = c === labels[n] ? 1 : 0;
  }
  return { confidence, correct };
}

/**
 * Reliability diagram with equal-width bins (i / bins, (i + 1) / bins]: a confidence on an edge belongs to the bin below
 * it, as in Guo et al. 2017. Empty bins are kept, with count 0.
 * @param probs [N, C]
 * @param labels [N]
 */
export function reliabilityBins(probs: Floats, labels: Labels, options: BinOptions = {}): ReliabilityBin[] {
  const { bins = 15 } = checkOptions("reliabilityBins", options, { bins: "number" });
  checkInt("reliabilityBins", "bins", bins, 1, 1 << 20);
  const { confidence, correct } = topLabel(probs, labels);
  const out = Array.from({ length: bins }, (_, i) => ({
    lower: i / bins,
    upper: (i + 1) / bins,
    count: 0,
    confidence: 0,
    accuracy: 0,
  }));
  for (let n = 0; n < confidence.length; n++) {
    let i = Math.min(bins - 1, Math.max(0, Math.ceil(confidence[n] * bins) - 1));
    // The product above may round across an edge; the edges as stored decide.
    if (confidence[n] <= out[i].lower && i > 0) i--;
    else if (confidence[n] > out[i].upper && i < bins - 1) i++;
    out[i].count++;
    out[i].confidence += confidence[n];
    out[i].accuracy += correct[n];
  }
  for (const bin of out) {
    if (bin.count === 0) continue;
    bin.confidence /= bin.count;
    bin.accuracy /= bin.count;
  }
  return out;
}

/**
 * Expected calibration error: sum over equal-width bins of count / N * |accuracy - confidence| (Naeini et al. 2015,
 * Guo et al. 2017). A fraction, 0 is perfect. Bins as in {@link reliabilityBins}.
 */
export function ece(probs: Floats, labels: Labels, options: BinOptions = {}): number {
  let sum = 0;
  for (const bin of reliabilityBins(probs, labels, options)) sum += bin.count * Math.abs(bin.accuracy - bin.confidence);
  return sum / labels.length;
}

/**
 * Expected calibration error over bins of equal mass (Nguyen and O'Connor 2015): predictions sorted by confidence, bin i
 * holding those from floor(i N / bins) to floor((i + 1) N / bins). It does not leave most bins nearly empty when the
 * model is nearly always sure. Predictions of equal confidence share their mean correctness, so the order of the rows
 * does not matter.
 */
export function adaptiveEce(probs: Floats, labels: Labels, options: BinOptions = {}): number {
  const { bins = 15 } = checkOptions("adaptiveEce", options, { bins: "number" });
  checkInt("adaptiveEce", "bins", bins, 1, 1 << 20);
  const { confidence, correct } = topLabel(probs, labels);
  const sorted = sortShared(confidence, correct);
  const rows = sorted.key.length;
  let sum = 0;
  for (let i = 0; i < bins; i++) {
    let gap = 0;
    for (let n = Math.floor((i * rows) / bins); n < Math.floor(((i + 1) * rows) / bins); n++) {
      gap += sorted.value[n] - sorted.key[n];
    }
    sum += Math.abs(gap);
  }
  return sum / rows;
}

/** Sorts by key, ascending; values whose keys are equal are all replaced by their mean. */
export function sortShared(
  keys: ArrayLike<number>,
  values: ArrayLike<number>,
): { key: Float64Array; value: Float64Array } {
  const order = Uint32Array.from({ length: keys.length }, (_, i) => i).sort((a, b) => keys[a] - keys[b]);
  const key = Float64Array.from(order, (i) => keys[i]);
  const value = Float64Array.from(order, (i) => values[i]);
  for (let start = 0; start < key.length; ) {
    let end = start;
    let sum = 0;
    while (end < key.length && key[end] === key[start]) sum += value[end++];
    value.fill(sum / (end - start), start, end);
    start = end;
  }
  return { key, value };
}
