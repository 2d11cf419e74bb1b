import { isDeepStrictEqual } from "node:util";
import { checkNumber, checkOptions, fail } from "../util/errors.ts";
import { channelStats, type Dataset } from "./dataset.ts";

/** Per channel: network input = pixel * scale + shift. */
export interface Normalization {
  readonly scale: readonly number[];
  readonly shift: readonly number[];
}

/** What happens to pixels before the network sees them: part of a model, as its weights are. */
export interface Preprocess extends Normalization {
  /** What pixels are: bytes 0..255 or floats as they come. Other pixels are refused; absent: whatever comes first. */
  readonly pixels?: "u8" | "f32";
  /** Colour that transparent images were laid on before training, as CSS writes it; absent: not from files, or white. */
  readonly background?: string;
}

/** Throws unless both lists have one finite number a channel. Returns a copy. */
export function checkPreprocess(where: string, preprocess: Preprocess, channels: number): Preprocess {
  checkOptions<Preprocess>(`${where} preprocess`, preprocess, {
    scale: "object",
    shift: "object",
    pixels: "string",
    background: "string",
  });
  const { scale, shift, pixels, background } = preprocess;
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
    ...(background ? { background } : {}),
  });
}

/** Whether two say the same; one that does not say what pixels are fits both kinds, and so does one without a background. */
export const samePreprocess = (a: Preprocess, b: Preprocess): boolean =>
  isDeepStrictEqual([a.scale, a.shift], [b.scale, b.shift]) &&
  (["pixels", "background"] as const).every((key) => !a[key] || !b[key] || a[key] === b[key]);

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
    "ERR_BAYES_DATA",
  );
}

/** What transparent images are laid on for a model. */
export const behind = (preprocess: Preprocess | undefined): { background?: string } =>
  preprocess?.background === undefined ? {} : { background: preprocess.background };

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
  return normalizationBy(channelStats(data), pixelsOf(data.images), data.background);
}

/** The normalization by a set's statistics, as `channelStats` gives them. */
export const normalizationBy = (
  stats: Parameters<typeof normalize>[0],
  pixels: "u8" | "f32",
  background?: string,
): Preprocess & { scale: number[]; shift: number[] } => ({
  ...normalize(stats, pixels === "u8"),
  pixels,
  ...(background ? { background } : {}),
});
