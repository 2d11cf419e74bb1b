/** How near a picture is to another one: the two figures of the super-resolution literature. */
import { checkInt, checkNumber, checkOptions, fail, words } from "../util/errors.ts";

/** What {@link psnr} and {@link ssim} take besides two pictures. */
export interface QualityOptions {
  /** [height, width] of both: pixels row by row, one value each. */
  readonly shape: readonly [height: number, width: number];
  /** Pixels along each side that do not count; default 0. In super-resolution as many as the scale. */
  readonly border?: number;
  /** The difference between white and black; default 255. */
  readonly peak?: number;
}

interface Both {
  readonly height: number;
  readonly width: number;
  readonly border: number;
  readonly peak: number;
}

function checked(where: string, a: ArrayLike<number>, b: ArrayLike<number>, options: QualityOptions, least = 1): Both {
  const own = checkOptions<QualityOptions>(where, options, { shape: "object", border: "number", peak: "number" });
  const { shape, border = 0, peak = 255 } = own;
  if (!Array.isArray(shape) || shape.length !== 2) fail(where, "shape as [height, width]", shape);
  const [height, width] = [0, 1].map((i) => checkInt(where, "height and width", shape[i], 1, 1 << 20));
  checkInt(where, "border", border, 0, 1 << 20);
  if (!(checkNumber(where, "peak", peak, 0) > 0)) fail(where, "a peak above 0", peak);
  for (const values of [a, b])
    if (typeof values !== "object" || values === null || values.length !== height * width)
      fail(where, `two pictures of ${height}x${width} values`, values);
  if (Math.min(height, width) - 2 * border < least)
    fail(where, `at least ${least}x${least} pixels inside the border`, words(`${height}x${width}, border ${border}`));
  return { height, width, border, peak };
}

/**
 * Peak signal-to-noise ratio in decibels: 10 log10(peak^2 / mean squared error); infinite for pictures that are equal.
 * @throws BayesError where the two are not pictures of that shape
 */
export function psnr(a: ArrayLike<number>, b: ArrayLike<number>, options: QualityOptions): number {
  const { height, width, border, peak } = checked("psnr", a, b, options);
  let sum = 0;
  for (let y = border; y < height - border; y++)
    for (let i = y * width + border; i < (y + 1) * width - border; i++) sum += (a[i] - b[i]) ** 2;
  return 10 * Math.log10((peak * peak * (height - 2 * border) * (width - 2 * border)) / sum);
}

const SIZE = 11;
const WINDOW = (() => {
  const raw = Array.from({ length: SIZE }, (_, i) => Math.exp(-((i - 5) ** 2) / (2 * 1.5 ** 2)));
  const sum = raw.reduce((s, w) => s + w, 0);
  return raw.map((w) => w / sum);
})();

/**
 * Structural similarity (Wang et al. 2004): the mean over all places where an 11x11 Gaussian window of sigma 1.5 lies inside
 * the picture, K1 = 0.01 and K2 = 0.03; 1 for pictures that are equal.
 * @throws BayesError where the two are not pictures of that shape, of at least 11x11 pixels inside the border
 */
export function ssim(a: ArrayLike<number>, b: ArrayLike<number>, options: QualityOptions): number {
  const { height, width, border, peak } = checked("ssim", a, b, options, SIZE);
  const [h, w] = [height - 2 * border, width - 2 * border];
  const cut = (of: (i: number) => number): Float64Array => {
    const inner = new Float64Array(h * w);
    for (let y = 0, at = 0; y < h; y++)
      for (let x = 0; x < w; x++, at++) inner[at] = of((y + border) * width + x + border);
    return smooth(inner, h, w);
  };
  const [meanA, meanB] = [cut((i) => a[i]), cut((i) => b[i])];
  const [aa, bb, ab] = [cut((i) => a[i] * a[i]), cut((i) => b[i] * b[i]), cut((i) => a[i] * b[i])];
  const [c1, c2] = [(0.01 * peak) ** 2, (0.03 * peak) ** 2];
  let sum = 0;
  for (let i = 0; i < meanA.length; i++) {
    const [ma, mb] = [meanA[i], meanB[i]];
    const [va, vb, cov] = [aa[i] - ma * ma, bb[i] - mb * mb, ab[i] - ma * mb];
    sum += ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma * ma + mb * mb + c1) * (va + vb + c2));
  }
  return sum / meanA.length;
}

/** Weighted means over the window, of all places inside: [h, w] to [h - 10, w - 10]. */
function smooth(x: Float64Array, h: number, w: number): Float64Array {
  const [oh, ow] = [h - SIZE + 1, w - SIZE + 1];
  const lines = new Float64Array(h * ow);
  for (let y = 0; y < h; y++)
    for (let i = 0; i < ow; i++) for (let k = 0; k < SIZE; k++) lines[y * ow + i] += WINDOW[k] * x[y * w + i + k];
  const out = new Float64Array(oh * ow);
  for (let y = 0; y < oh; y++)
    for (let k = 0; k < SIZE; k++) for (let i = 0; i < ow; i++) out[y * ow + i] += WINDOW[k] * lines[(y + k) * ow + i];
  return out;
}
