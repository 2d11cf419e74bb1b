/** ln(1 + e^x) without overflow, and without losing the tail below. */
export const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

/** The x with softplus(x) = y, for y > 0. */
export const inverseSoftplus = (y: number): number => y + Math.log(-Math.expm1(-y));
