/** How sure a test set of some size is of its figures. */

/** Two-sided 95 % of a normal distribution. */
const Z = 1.959963984540054;

/** Wilson's 95 % interval of a share; unlike the plain normal one it is never outside 0..1, nor a point at 0 and 1. */
export function wilson(share: number, count: number): [number, number] {
  const z2 = (Z * Z) / count;
  const middle = (share + z2 / 2) / (1 + z2);
  const half = (Z / (1 + z2)) * Math.sqrt((share * (1 - share)) / count + z2 / (4 * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

/**
 * Normal 95 % interval of a mean, which is never below the least value; nothing for a single value, which says nothing of
 * its spread.
 */
export function meanInterval(values: ArrayLike<number>): [number, number] | undefined {
  if (values.length < 2) return undefined;
  const half = Z * standardError(values);
  const mean = average(values);
  const least = Array.prototype.reduce.call(values, (a, v) => Math.min(a as number, v as number), Infinity) as number;
  return [Math.max(least, mean - half), mean + half];
}

export function standardError(values: ArrayLike<number>): number {
  const mean = average(values);
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += (values[i] - mean) ** 2;
  return Math.sqrt(squares / Math.max(1, values.length - 1) / values.length);
}

/** A mean of differences in its standard errors. */
export function clear(differences: ArrayLike<number>): number {
  const mean = average(differences);
  const error = standardError(differences);
  return error > 0 ? mean / error : mean > 0 ? Infinity : 0;
}

/** Half of Wilson's interval. */
export function resolution(share: number, count: number): number {
  const [low, high] = wilson(Math.min(1, share), count);
  return (high - low) / 2;
}

/** Mean of some values. */
export function average(x: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += x[i];
  return sum / x.length;
}

export function median(values: ArrayLike<number>): number {
  const sorted = Float64Array.from(values).sort();
  return sorted.length === 0 ? Number.NaN : sorted[Math.floor(sorted.length / 2)];
}
