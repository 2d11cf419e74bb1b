/**
 * How sure is the model, and why not? S Monte-Carlo predictions of the same inputs are split into what more data could
 * teach (epistemic: the samples disagree) and what it could not (aleatoric: each sample is itself unsure).
 *
 * Samples come sample-major, [S, N, C]. Everything is summed in float64 and returned as float32.
 */
import { checkArray } from "../util/arrays.ts";
import { checkInt, fail, words } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { softplus } from "../util/softplus.ts";
import { checkSamples, type Floats } from "./input.ts";

/** Epistemic and aleatoric variance per class and summed over the classes. */
export interface DecomposeResult {
  /** [N, C] variance of the class probability between the samples */
  epistemic: Float32Array;
  /** [N, C] mean of p (1 - p) within the samples */
  aleatoric: Float32Array;
  /** [N] sum of `epistemic` over the classes */
  epistemicTotal: Float32Array;
  /** [N] sum of `aleatoric` over the classes */
  aleatoricTotal: Float32Array;
}

/**
 * Softmax of every row of C logits.
 * @param logits [..., C], finite
 * @returns probabilities of the same shape
 */
export function softmaxRows(logits: Floats, classes: number): Float32Array {
  return normalizeRows("softmaxRows", logits, classes, (z) => z);
}

/**
 * Normalized softplus of every row: p_c = softplus(z_c) / sum_k softplus(z_k)
 * (Shridhar, Laumann and Liwicki 2018, "Uncertainty Estimations by Softplus normalization", arXiv:1806.05978).
 * It is less peaked than softmax. Computed from log softplus, so very negative logits do not become 0 / 0.
 * @param logits [..., C], finite
 * @returns probabilities of the same shape
 */
export function normalizedSoftplusRows(logits: Floats, classes: number): Float32Array {
  return normalizeRows("normalizedSoftplusRows", logits, classes, logSoftplus);
}

/** log(log(1 + e^z)). Below -37, e^z is under the resolution of 1 and the value is z itself. */
function logSoftplus(z: number): number {
  if (z < -37) return z;
  return Math.log(softplus(z));
}

/** exp(score(z)) divided by the sum of its row. */
function normalizeRows(where: string, logits: Floats, classes: number, score: (z: number) => number): Float32Array {
  checkInt(where, "classes C", classes, 2);
  checkArray(where, "logits", logits, "Float32Array", "Float64Array");
  if (logits.length === 0 || logits.length % classes !== 0) {
    fail(where, `one or more rows of ${classes} logits`, words(`${logits.length} values`));
  }
  const out = newArray(where, "f32", logits.length, "fewer samples, or fewer images at a time, would fit");
  const row = new Float64Array(classes);
  for (let start = 0; start < logits.length; start += classes) {
    let max = -Infinity;
    for (let c = 0; c < classes; c++) {
      const z = logits[start + c];
      if (!Number.isFinite(z)) fail(where, `finite logits (row ${start / classes}, class ${c})`, z);
      row[c] = score(z);
      if (row[c] > max) max = row[c];
    }
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += row[c] = Math.exp(row[c] - max);
    for (let c = 0; c < classes; c++) out[start + c] = row[c] / sum;
  }
  return out;
}

/** Sum over the samples divided by S, in float64: [S, N * C] -> [N * C]. */
function meanOverSamples(p: Floats, samples: number, size: number): Float64Array {
  const mean = new Float64Array(size);
  for (let s = 0, k = 0; s < samples; s++) for (let i = 0; i < size; i++) mean[i] += p[k++];
  for (let i = 0; i < size; i++) mean[i] /= samples;
  return mean;
}

/**
 * The predictive distribution: the mean of the samples' probabilities.
 * @param p [S, N, C]
 * @returns [N, C]
 */
export function meanProbabilities(p: Floats, samples: number, rows: number, classes: number): Float32Array {
  checkSamples("meanProbabilities", p, samples, rows, classes);
  return new Float32Array(meanOverSamples(p, samples, rows * classes));
}

/**
 * Epistemic and aleatoric uncertainty per class (the diagonal of Kwon et al. 2018, "Uncertainty quantification using
 * Bayesian neural networks in classification", eq. 4): with m = mean_s p_s,
 * epistemic = mean_s (p_s - m)^2, aleatoric = mean_s p_s (1 - p_s); together they are m (1 - m).
 * The centred form is never negative, unlike mean p^2 - m^2.
 * @param p [S, N, C] probabilities from {@link softmaxRows} or {@link normalizedSoftplusRows}
 */
export function decompose(p: Floats, samples: number, rows: number, classes: number): DecomposeResult {
  checkSamples("decompose", p, samples, rows, classes);
  const size = rows * classes;
  const mean = meanOverSamples(p, samples, size);
  const epi = new Float64Array(size);
  const ale = new Float64Array(size);
  for (let s = 0, k = 0; s < samples; s++) {
    for (let i = 0; i < size; i++, k++) {
      const d = p[k] - mean[i];
      epi[i] += d * d;
      ale[i] += p[k] * (1 - p[k]);
    }
  }
  const epistemicTotal = new Float32Array(rows);
  const aleatoricTotal = new Float32Array(rows);
  for (let n = 0, i = 0; n < rows; n++) {
    let e = 0;
    let a = 0;
    for (let c = 0; c < classes; c++, i++) {
      e += epi[i] /= samples;
      // A softmax may round to a hair above 1; a variance must not be a hair below 0.
      a += ale[i] = Math.max(0, ale[i] / samples);
    }
    epistemicTotal[n] = e;
    aleatoricTotal[n] = a;
  }
  return { epistemic: new Float32Array(epi), aleatoric: new Float32Array(ale), epistemicTotal, aleatoricTotal };
}

/** -p log p in nats, 0 at p = 0. */
function surprise(p: number): number {
  return p > 0 ? -p * Math.log(p) : 0;
}

/**
 * Entropy of the mean prediction, H(mean_s p_s), in nats: the total uncertainty.
 * @param p [S, N, C]
 * @returns [N], between 0 and log C
 */
export function predictiveEntropy(p: Floats, samples: number, rows: number, classes: number): Float32Array {
  checkSamples("predictiveEntropy", p, samples, rows, classes);
  const mean = meanOverSamples(p, samples, rows * classes);
  return perRow(rows, classes, (i) => surprise(mean[i]));
}

/**
 * Mean entropy of the single samples, mean_s H(p_s), in nats: the aleatoric part of the predictive entropy.
 * @param p [S, N, C]
 * @returns [N]
 */
export function expectedEntropy(p: Floats, samples: number, rows: number, classes: number): Float32Array {
  checkSamples("expectedEntropy", p, samples, rows, classes);
  const size = rows * classes;
  return perRow(rows, classes, (i) => {
    let sum = 0;
    for (let s = 0; s < samples; s++) sum += surprise(p[s * size + i]);
    return sum / samples;
  });
}

/**
 * Mutual information between prediction and weights in nats (BALD; Houlsby et al. 2011): the epistemic part of the
 * predictive entropy. Computed as mean_s KL(p_s || mean), which equals predictive minus expected entropy without
 * subtracting two nearly equal numbers.
 * @param p [S, N, C]
 * @returns [N], never negative
 */
export function mutualInformation(p: Floats, samples: number, rows: number, classes: number): Float32Array {
  checkSamples("mutualInformation", p, samples, rows, classes);
  const size = rows * classes;
  const mean = meanOverSamples(p, samples, size);
  return perRow(rows, classes, (i) => {
    let sum = 0;
    for (let s = 0; s < samples; s++) {
      const q = p[s * size + i];
      if (q > 0) sum += q * Math.log(q / mean[i]);
    }
    return sum / samples;
  });
}

/** Sums `term(i)` over the classes of every row; a sum that rounding took below zero is zero. */
function perRow(rows: number, classes: number, term: (i: number) => number): Float32Array {
  const out = new Float32Array(rows);
  for (let n = 0, i = 0; n < rows; n++) {
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += term(i++);
    out[n] = Math.max(0, sum);
  }
  return out;
}
