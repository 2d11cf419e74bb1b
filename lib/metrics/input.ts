import { checkArray } from "../util/arrays.ts";
import { checkInt, fail, words } from "../util/errors.ts";

/** Numbers a metric reads: model output (float32) or something computed from it (float64). */
export type Floats = Float32Array | Float64Array;

/** Class labels, one integer per row. */
export type Labels = Uint8Array | Uint16Array | Uint32Array | Int32Array | readonly number[];

/** Rows of probabilities are accepted when their sum is this close to one: float32 rounding and no more. */
const SUM_TOLERANCE = 1e-3;

function checkFloats(where: string, probs: Floats): void {
  checkArray(where, "probabilities", probs, "Float32Array", "Float64Array");
}

/**
 * Throws unless `probs` holds rows of `classes` probabilities, each in [0, 1] and each row summing to one.
 * Logits passed by mistake, a transposed array and NaN are all caught here.
 */
function checkProbabilities(where: string, probs: Floats, classes: number): void {
  for (let start = 0; start < probs.length; start += classes) {
    let sum = 0;
    for (let i = start; i < start + classes; i++) {
      const p = probs[i];
      if (!(p >= 0 && p <= 1 + SUM_TOLERANCE)) fail(where, `every probability in [0, 1] (row ${start / classes})`, p);
      sum += p;
    }
    if (!(Math.abs(sum - 1) <= SUM_TOLERANCE)) fail(where, `row ${start / classes} of probabilities to sum to 1`, sum);
  }
}

/**
 * Checks mean probabilities [N, C] against labels [N] and says how many rows and classes there are.
 * C is probs.length / N, so it need not be passed.
 * @throws BayesError when N is 0, the lengths do not fit, a label is not a class or a row is not a distribution
 */
export function checkLabelled(where: string, probs: Floats, labels: Labels): { rows: number; classes: number } {
  checkFloats(where, probs);
  const rows = labels?.length;
  if (typeof rows !== "number") fail(where, "labels, one integer per row", labels);
  if (rows === 0) fail(where, "at least one example", words("none"));
  const classes = probs.length / rows;
  if (!Number.isInteger(classes) || classes < 2) {
    fail(where, `probabilities [N, C] with C >= 2 for ${rows} labels`, words(`${probs.length} probabilities`));
  }
  for (let i = 0; i < rows; i++) checkInt(where, `label ${i}`, labels[i], 0, classes - 1);
  checkProbabilities(where, probs, classes);
  return { rows, classes };
}

/**
 * Checks Monte-Carlo probabilities [S, N, C].
 * @throws BayesError when a size is below 1, the length is not S * N * C or a row is not a distribution
 */
export function checkSamples(where: string, p: Floats, samples: number, rows: number, classes: number): void {
  checkInt(where, "samples S", samples, 1);
  checkInt(where, "rows N", rows, 1);
  checkInt(where, "classes C", classes, 2);
  checkFloats(where, p);
  const expected = samples * rows * classes;
  if (p.length !== expected)
    fail(where, `S * N * C = ${samples} * ${rows} * ${classes} = ${expected} values`, p.length);
  checkProbabilities(where, p, classes);
}

/** Index of the largest probability of a row; the first one wins a tie. */
export function argmax(probs: Floats, row: number, classes: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) if (probs[row * classes + c] > probs[row * classes + best]) best = c;
  return best;
}
