/**
 * Bicubic resampling as MATLAB's imresize does it, the convention of published super-resolution figures: Keys' kernel with
 * a = -0.5, stretched by the step where the picture gets smaller (so that nothing aliases), weights that add up to 1, and
 * the picture mirrored beyond its border. (The op `resizeBicubic` is PyTorch's: a = -0.75, never stretched, border repeated.)
 */
import { checkInt, fail } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";

/** Keys (1981), a = -0.5. */
function kernel(t: number): number {
  const x = Math.abs(t);
  if (x <= 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}

/** The index of a pixel that lies `i` pixels from the first, in a picture that its mirror image continues (d c b a | a b c d). */
export function mirrored(i: number, size: number): number {
  const at = ((i % (2 * size)) + 2 * size) % (2 * size);
  return at < size ? at : 2 * size - 1 - at;
}

/** What each pixel of a resampled line takes: `taps` pixels of the line, and their weights. */
export interface Taps {
  readonly taps: number;
  readonly from: Int32Array;
  readonly weight: Float64Array;
}

/** The {@link Taps} of a line of `from` pixels that becomes one of `to`. Output pixel i lies at (i + 1/2) from / to - 1/2. */
export function bicubicTaps(from: number, to: number): Taps {
  const step = from / to;
  const wide = Math.max(1, step);
  const taps = Math.ceil(4 * wide) + 1;
  const out = { taps, from: new Int32Array(to * taps), weight: new Float64Array(to * taps) };
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * step - 0.5;
    const first = Math.floor(centre - 2 * wide) + 1;
    let sum = 0;
    for (let k = 0; k < taps; k++) {
      const w = kernel((first + k - centre) / wide);
      out.from[i * taps + k] = mirrored(first + k, from);
      out.weight[i * taps + k] = w;
      sum += w;
    }
    for (let k = 0; k < taps; k++) out.weight[i * taps + k] /= sum;
  }
  return out;
}

/** Pixels one after the other, row by row, with their channels side by side. */
export interface Plane<T extends ArrayLike<number> = ArrayLike<number>> {
  readonly values: T;
  readonly height: number;
  readonly width: number;
  /** Default 1. */
  readonly channels?: number;
}

/** Rows of a resampled picture, any of them at any time: what a picture larger than memory is written from. */
export class BicubicRows {
  readonly #plane: Required<Plane>;
  readonly #rows: Taps;
  readonly #columns: Taps;
  readonly #line: Float64Array;

  constructor({ values, height, width, channels = 1 }: Plane, toHeight: number, toWidth: number) {
    this.#plane = { values, height, width, channels };
    this.#rows = bicubicTaps(height, toHeight);
    this.#columns = bicubicTaps(width, toWidth);
    this.#line = new Float64Array(width * channels);
  }

  /** Writes row `y`, toWidth * channels values, to the start of `out`. */
  row(y: number, out: Float32Array | Float64Array): void {
    const { values, width, channels } = this.#plane;
    const line = this.#line.fill(0);
    const stride = width * channels;
    for (let k = y * this.#rows.taps; k < (y + 1) * this.#rows.taps; k++) {
      const w = this.#rows.weight[k];
      if (w === 0) continue;
      const start = this.#rows.from[k] * stride;
      for (let i = 0; i < stride; i++) line[i] += w * values[start + i];
    }
    const { taps, from, weight } = this.#columns;
    for (let at = 0, e = 0; e < from.length; at += channels, e += taps)
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < taps; k++) sum += weight[e + k] * line[from[e + k] * channels + c];
        out[at + c] = sum;
      }
  }
}

/**
 * A picture resampled to another size (see the head of this file), in float64 inside.
 * @param plane values [height, width, channels]
 * @returns [toHeight, toWidth, channels], not rounded and not clipped
 * @throws BayesError for sizes that do not fit the values
 */
export function resizeBicubic(plane: Plane, toHeight: number, toWidth: number): Float32Array {
  const { values, height, width, channels = 1 } = plane;
  for (const [what, n] of Object.entries({ height, width, channels, toHeight, toWidth }))
    checkInt("resizeBicubic", what, n, 1, 1 << 20);
  if (values?.length !== height * width * channels)
    fail("resizeBicubic", `${height * width * channels} values of ${height}x${width}x${channels}`, values);
  const out = newArray("resizeBicubic", "f32", toHeight * toWidth * channels);
  const rows = new BicubicRows(plane, toHeight, toWidth);
  const stride = toWidth * channels;
  for (let y = 0; y < toHeight; y++) rows.row(y, out.subarray(y * stride, (y + 1) * stride));
  return out;
}
