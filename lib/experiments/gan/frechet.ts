/** Frechet distance between two clouds of features, taken as Gaussians (Heusel et al. 2017; theirs are features of Inception, ours are not). */
import { fail } from "../../util/errors.ts";

interface Gaussian {
  readonly mean: Float64Array;
  /** [d, d] */
  readonly covariance: Float64Array;
}

/** Mean and covariance of rows of `d` features. */
export function gaussianOf(rows: Float32Array, d: number): Gaussian {
  const n = rows.length / d;
  if (!Number.isInteger(n) || n < 2) fail("frechetDistance", `two or more rows of ${d} features`, rows.length);
  const mean = new Float64Array(d);
  for (let i = 0; i < rows.length; i++) mean[i % d] += rows[i] / n;
  const covariance = new Float64Array(d * d);
  const centred = new Float64Array(d);
  for (let r = 0; r < n; r++) {
    for (let i = 0; i < d; i++) centred[i] = rows[r * d + i] - mean[i];
    for (let i = 0; i < d; i++) for (let j = 0; j <= i; j++) covariance[i * d + j] += centred[i] * centred[j];
  }
  for (let i = 0; i < d; i++)
    for (let j = 0; j <= i; j++) covariance[j * d + i] = covariance[i * d + j] = covariance[i * d + j] / (n - 1);
  return { mean, covariance };
}

/** |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); 0 for equal Gaussians. */
export function frechetDistance(a: Gaussian, b: Gaussian): number {
  const d = a.mean.length;
  let distance = 0;
  for (let i = 0; i < d; i++)
    distance += (a.mean[i] - b.mean[i]) ** 2 + a.covariance[i * d + i] + b.covariance[i * d + i];
  // (C1 C2)^(1/2) and (R C2 R)^(1/2) have the same trace, where R is the root of C1; the latter is symmetric
  const { values, vectors } = eigen(a.covariance, d);
  const root = new Float64Array(d * d);
  for (let i = 0; i < d; i++)
    for (let j = 0; j < d; j++)
      for (let k = 0; k < d; k++)
        root[i * d + j] += vectors[i * d + k] * Math.sqrt(Math.max(0, values[k])) * vectors[j * d + k];
  const product = multiplied(multiplied(root, b.covariance, d), root, d);
  for (const value of eigen(product, d).values) distance -= 2 * Math.sqrt(Math.max(0, value));
  return Math.max(0, distance);
}

function multiplied(a: Float64Array, b: Float64Array, d: number): Float64Array {
  const out = new Float64Array(d * d);
  for (let i = 0; i < d; i++)
    for (let k = 0; k < d; k++) for (let j = 0; j < d; j++) out[i * d + j] += a[i * d + k] * b[k * d + j];
  return out;
}

/** Eigenvalues and, in columns, eigenvectors of a symmetric matrix, by cyclic Jacobi rotations (Golub and Van Loan, section 8.5). */
export function eigen(matrix: Float64Array, d: number): { values: Float64Array; vectors: Float64Array } {
  const a = matrix.slice();
  const vectors = new Float64Array(d * d);
  for (let i = 0; i < d; i++) vectors[i * d + i] = 1;
  const size = Math.hypot(...a) || 1;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let p = 0; p < d; p++) for (let q = p + 1; q < d; q++) off += a[p * d + q] ** 2;
    if (Math.sqrt(off) <= 1e-12 * size) break;
    for (let p = 0; p < d; p++)
      for (let q = p + 1; q < d; q++) {
        const apq = a[p * d + q];
        if (Math.abs(apq) < 1e-300) continue;
        const tau = (a[q * d + q] - a[p * d + p]) / (2 * apq);
        const t = Math.sign(tau || 1) / (Math.abs(tau) + Math.hypot(1, tau));
        const c = 1 / Math.hypot(1, t);
        const s = t * c;
        for (let k = 0; k < d; k++) {
          const [kp, kq] = [a[k * d + p], a[k * d + q]];
          a[k * d + p] = c * kp - s * kq;
          a[k * d + q] = s * kp + c * kq;
        }
        for (let k = 0; k < d; k++) {
          const [pk, qk] = [a[p * d + k], a[q * d + k]];
          a[p * d + k] = c * pk - s * qk;
          a[q * d + k] = s * pk + c * qk;
          const [vp, vq] = [vectors[k * d + p], vectors[k * d + q]];
          vectors[k * d + p] = c * vp - s * vq;
          vectors[k * d + q] = s * vp + c * vq;
        }
      }
  }
  return { values: Float64Array.from({ length: d }, (_, i) => a[i * d + i]), vectors };
}
