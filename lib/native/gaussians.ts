import { seedKey, streamWord } from "../util/philox.ts";
import { loadAddon } from "./addon.ts";

/** Where a run of normals sits in the counter space; every field is 0 if left out. */
export interface Place {
  /** counter word 1, for instance the ordinal of a parameter */
  readonly row?: number;
  /** counter word 2 */
  readonly step?: number;
  /** low half of counter word 3 */
  readonly sample?: number;
}

/**
 * Fills `out` with mean + scale z, z standard normals by Box-Muller in double precision: block `b` of the stream gives elements
 * 4b..4b+3 from its four words, as (r cos t, r sin t) twice, with r = sqrt(-2 ln u) and t = 2 pi u'. Used where values are made
 * once, such as initial parameters; the noise of layers is drawn by the kernels.
 */
export function fillGaussians<A extends Float32Array | Float64Array>(
  out: A,
  { mean = 0, scale = 1, seed, stream, row = 0, step = 0, sample = 0 }: GaussianOptions,
): A {
  const words = Uint32Array.of(row, step, streamWord(stream, sample), ...seedKey(seed));
  loadAddon().fillGaussians(out, mean, scale, words);
  return out;
}

export interface GaussianOptions extends Place {
  readonly mean?: number;
  readonly scale?: number;
  readonly seed: number;
  readonly stream: number;
}

/** `count` standard normals; see {@link fillGaussians}. */
export const gaussians = (count: number, seed: number, stream: number, place: Place = {}): Float64Array =>
  fillGaussians(new Float64Array(count), { ...place, seed, stream });
