import { isDeepStrictEqual } from "node:util";
import { checkInt, checkNumber, checkOptions, fail } from "../errors.ts";
import { philox, STREAM_AUGMENT, seedKey, streamWord, uniformInt } from "../util/philox.ts";
import { channelStats, type Dataset, type ImageShape, imageSize } from "./dataset.ts";

/** Per channel: network input = pixel * scale + shift. */
export interface Normalization {
  readonly scale: readonly number[];
  readonly shift: readonly number[];
}

/** What happens to pixels before the network sees them: part of a model, as its weights are. */
export interface Preprocess extends Normalization {
  /** What pixels are: bytes 0..255 or floats as they come. Other pixels are refused; absent: whatever comes first. */
  readonly pixels?: "u8" | "f32";
}

/** Throws unless both lists have one finite number a channel. Returns a copy. */
export function checkPreprocess(where: string, preprocess: Preprocess, channels: number): Preprocess {
  checkOptions<Preprocess>(`${where} preprocess`, preprocess, { scale: "object", shift: "object", pixels: "string" });
  const { scale, shift, pixels } = preprocess;
  for (const [key, list] of Object.entries({ scale, shift })) {
    if (!Array.isArray(list) || list.length !== channels)
      fail(where, `preprocess.${key} as ${channels} number${channels > 1 ? "s" : ""}, one a channel`, list);
    for (const x of list) checkNumber(where, `preprocess.${key}`, x);
  }
  if (pixels !== undefined && pixels !== "u8" && pixels !== "f32")
    fail(where, 'preprocess.pixels "u8" or "f32"', pixels);
  return Object.freeze({
    scale: Object.freeze([...scale]),
    shift: Object.freeze([...shift]),
    ...(pixels ? { pixels } : {}),
  });
}

/** Whether two say the same; one that does not say what pixels are fits both kinds. */
export const samePreprocess = (a: Preprocess, b: Preprocess): boolean =>
  isDeepStrictEqual([a.scale, a.shift], [b.scale, b.shift]) &&
  (a.pixels === undefined || b.pixels === undefined || a.pixels === b.pixels);

/** What kind of pixels an array holds. */
export const pixelsOf = (images: Uint8Array | Float32Array): "u8" | "f32" =>
  images instanceof Uint8Array ? "u8" : "f32";

/** Throws unless pixels are of the kind that the model was trained on. */
export function checkPixels(
  where: string,
  images: Uint8Array | Float32Array | "u8" | "f32",
  preprocess: Preprocess | undefined,
): void {
  const want = preprocess?.pixels;
  if (want === undefined || want === (typeof images === "string" ? images : pixelsOf(images))) return;
  fail(
    where,
    want === "u8"
      ? "pixels as bytes from 0 to 255 (Uint8Array), as the model was trained on"
      : "pixels as floats (Float32Array), scaled as those the model was trained on",
    images,
  );
}

/** Pixels as they are. */
export const asIs = (channels: number): Preprocess => ({
  scale: Array(channels).fill(1),
  shift: Array(channels).fill(0),
});

/**
 * The affine map to zero mean and unit variance: (x/255 - mean) / std for byte images, (x - mean) / std for float
 * images. A channel that never varies is only centred.
 * @param stats mean and std per channel, of x/255 for bytes, as {@link channelStats} gives them
 * @param bytes whether pixels are bytes (default true)
 */
export function normalize(
  stats: { readonly mean: readonly number[]; readonly std: readonly number[] },
  bytes = true,
): { scale: number[]; shift: number[] } {
  const { mean, std } = stats;
  if (mean.length !== std.length) fail("normalize", `${mean.length} standard deviations, one a channel`, std.length);
  for (const m of mean) checkNumber("normalize", "mean", m);
  const divisor = std.map((s) => (checkNumber("normalize", "standard deviation", s, 0) > 0 ? s : 1));
  return {
    scale: divisor.map((d) => 1 / (d * (bytes ? 255 : 1))),
    shift: divisor.map((d, c) => 0 - mean[c] / d),
  };
}

/** The normalization of a set by its own statistics, which is what `fit` gives a model that has none yet. */
export function normalizationOf(data: Dataset): Preprocess & { scale: number[]; shift: number[] } {
  return normalizationBy(channelStats(data), pixelsOf(data.images));
}

/** The normalization by a set's statistics, as `channelStats` gives them. */
export const normalizationBy = (
  stats: Parameters<typeof normalize>[0],
  pixels: "u8" | "f32",
): Preprocess & { scale: number[]; shift: number[] } => ({ ...normalize(stats, pixels === "u8"), pixels });

/** How training images are varied. Never applied to validation or test images. */
export interface Augmentation {
  /** largest move, in pixels, up, down, left and right (0 = none); the same as padding by `shift` and a random crop */
  readonly shift: number;
  /** whether to mirror left and right, with probability 1/2 */
  readonly flip: boolean;
}

/** One image's variation: content moves right by dx and down by dy, then is mirrored if `flip`. */
export interface AugmentParams {
  readonly dx: number;
  readonly dy: number;
  readonly flip: boolean;
}

/**
 * The variation of one example in one epoch: a pure function of (seed, epoch, example), so neither the batch it falls
 * into nor a resumed run changes it. The rule, exactly (the native gather does the same):
 *
 *     u    = Philox4x32-10 with counter (0, example, epoch, 65532 * 65536) and key (seed low, seed high)
 *     dx   = floor(u[0] * (2 shift + 1) / 2^32) - shift        as (uint64(u[0]) * (2 shift + 1)) >> 32, minus shift
 *     dy   = floor(u[1] * (2 shift + 1) / 2^32) - shift
 *     flip = augmentation.flip and the top bit of u[2]
 *
 * @param example index in the data set that is trained on (not the position in the batch)
 */
export function augmentParams(seed: number, epoch: number, example: number, augmentation: Augmentation): AugmentParams {
  checkInt("augmentation", "seed", seed);
  checkInt("augmentation", "epoch", epoch, 0, 0xffffffff);
  checkInt("augmentation", "example", example, 0, 0xffffffff);
  const shift = checkInt("augmentation", "shift", augmentation.shift, 0, 1 << 15);
  const u = philox([0, example, epoch, streamWord(STREAM_AUGMENT)], seedKey(seed));
  return {
    dx: uniformInt(u[0], 2 * shift + 1) - shift,
    dy: uniformInt(u[1], 2 * shift + 1) - shift,
    flip: augmentation.flip && u[2] >>> 31 === 1,
  };
}

/**
 * Applies one variation to one image, pixel values as stored (before normalization):
 *
 *     out[y, x, c] = in[y - dy, (flip ? W - 1 - x : x) - dx, c], and 0 where that lies outside the image
 *
 * so the image is padded with zeros (black), moved by (dx, dy), and then mirrored.
 * @param image H * W * C values, NHWC
 * @returns a new array of the same kind
 */
export function augmentReference<T extends Uint8Array | Float32Array>(
  image: T,
  shape: ImageShape,
  { dx, dy, flip }: AugmentParams,
): T {
  const [height, width, channels] = shape;
  if (image.length !== imageSize(shape)) fail("augmentation", `an image of ${shape.join("x")} values`, image.length);
  const out = new (image.constructor as new (length: number) => T)(image.length);
  for (let y = 0; y < height; y++) {
    const fromY = y - dy;
    if (fromY < 0 || fromY >= height) continue;
    for (let x = 0; x < width; x++) {
      const fromX = (flip ? width - 1 - x : x) - dx;
      if (fromX < 0 || fromX >= width) continue;
      const from = (fromY * width + fromX) * channels;
      out.set(image.subarray(from, from + channels), (y * width + x) * channels);
    }
  }
  return out;
}
