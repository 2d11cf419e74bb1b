import { type Dataset, makeDataset } from "../data/dataset.ts";
import { checkInt, checkOptions, failData, words } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";
import { philox, STREAM_PATCHES, seedKey, streamWord, uniformInt } from "../util/philox.ts";
import { resizeBicubic } from "./bicubic.ts";
import type { LumaPicture } from "./read.ts";

/** A picture cut to a multiple of the scale at its top left corner, and what becomes of it when it is made smaller. */
export interface PicturePair {
  readonly name: string;
  readonly high: LumaPicture;
  /** As a file of 8 bits would have it: whole numbers from 0 to 255. */
  readonly low: LumaPicture;
}

/** The {@link PicturePair} of a picture, by MATLAB's imresize (see {@link resizeBicubic}). @throws BayesError for one of fewer pixels than the scale */
export function pairOf({ name, luma, height, width }: LumaPicture, scale: number): PicturePair {
  checkInt("pairOf", "the scale", scale, 1, 64);
  const [h, w] = [Math.floor(height / scale), Math.floor(width / scale)];
  if (h === 0 || w === 0) failData(`picture ${name}`, `at least ${scale}x${scale} pixels`, words(`${height}x${width}`));
  const high = new Float32Array(h * w * scale * scale);
  for (let y = 0; y < h * scale; y++) high.set(luma.subarray(y * width, y * width + w * scale), y * w * scale);
  const whole = { values: high, height: h * scale, width: w * scale };
  const low = resizeBicubic(whole, h, w).map((v) => Math.min(255, Math.max(0, Math.round(v))));
  return {
    name,
    high: { name, luma: high, height: h * scale, width: w * scale },
    low: { name, luma: low, height: h, width: w },
  };
}

/** What {@link picturePatches} takes. */
export interface PatchOptions {
  /** Default 3. */
  readonly scale?: 2 | 3 | 4;
  /** Height and width of a low-resolution patch; default 32. */
  readonly patch?: number;
  /** How many patches, in turn from each picture. */
  readonly count: number;
  /** Of places, turns and flips; default 0. */
  readonly seed?: number;
  readonly name?: string;
}

/**
 * A training set for {@link superResolutionModel}: patches of pictures made smaller (the images, bytes) and what they were made
 * from (the targets), each at a random place, turned and flipped into one of its eight positions. All of it is a function of the
 * pictures and the seed.
 * @returns images [count, patch, patch, 1], targets [count, patch scale, patch scale, 1], both luma in 0..255
 * @throws BayesError where no picture is large enough for a patch
 */
export function picturePatches(pictures: readonly LumaPicture[], options: PatchOptions): Dataset {
  const where = "picturePatches";
  const {
    scale = 3,
    patch = 32,
    count,
    seed = 0,
    name = "patches",
  } = checkOptions<PatchOptions>(where, options, {
    scale: "number",
    patch: "number",
    count: "number",
    seed: "number",
    name: "string",
  });
  checkInt(where, "count", count, 1, 2 ** 24);
  checkInt(where, "patch", patch, 1, 1024);
  const pairs = pictures
    .map((picture) => pairOf(picture, scale))
    .filter(({ low }) => low.height >= patch && low.width >= patch);
  if (pairs.length === 0)
    failData(where, `pictures of at least ${patch * scale}x${patch * scale} pixels`, words("none"));
  const images = newArray(where, "u8", count * patch * patch, "take fewer patches");
  const large = patch * scale;
  const targets = newArray(where, "f32", count * large * large, "take fewer patches");
  for (let i = 0; i < count; i++) {
    const { low, high } = pairs[i % pairs.length];
    const [a, b, c] = philox([0, i, 0, streamWord(STREAM_PATCHES)], seedKey(seed));
    const top = uniformInt(a, low.height - patch + 1);
    const left = uniformInt(b, low.width - patch + 1);
    const position = uniformInt(c, 8);
    place(images, i, low, top, left, patch, position);
    place(targets, i, high, top * scale, left * scale, large, position);
  }
  return makeDataset({ name, images, targets, shape: [patch, patch, 1], targetShape: [large, large, 1] });
}

/** Copies the square of `size` at (top, left) into the i-th place of `out`, in one of its eight positions. */
function place(
  out: Uint8Array | Float32Array,
  i: number,
  { luma, width }: LumaPicture,
  top: number,
  left: number,
  size: number,
  position: number,
): void {
  for (let y = 0, at = i * size * size; y < size; y++)
    for (let x = 0; x < size; x++, at++) {
      const [v, u] = position & 4 ? [x, y] : [y, x];
      const row = position & 1 ? size - 1 - v : v;
      const column = position & 2 ? size - 1 - u : u;
      out[at] = luma[(top + row) * width + left + column];
    }
}
