import { readFile } from "node:fs/promises";
import type { Sharp, SharpOptions } from "sharp";
import { BayesError, fail } from "../errors.ts";
import { MAX_BYTES, statOf } from "./bytes.ts";
import type { ImageShape } from "./dataset.ts";
import { FORMATS, refusal } from "./format.ts";

/** Files worked on at once by one reader: enough to keep the decoder's threads busy. */
const AT_ONCE = 16;
/** Pixels that one image may have. Below a third of a gigabyte decoded, or two thirds at 16 bits a channel. */
export const MAX_PIXELS = 1e8;
/** Pixels decoded (or bytes of files held) at once by all readers together: large images come one after the other. */
export const IN_FLIGHT = MAX_PIXELS;

const LIMITS: SharpOptions = { limitInputPixels: MAX_PIXELS, failOn: "error", autoOrient: true };

export interface DecodeOptions {
  /** Colour on which transparent images are laid, as CSS writes it. Default "white". */
  readonly background?: string;
}

/** What an image's header says. */
export interface Head {
  /** as it is shown, after the rotation that the camera asked for */
  readonly height: number;
  readonly width: number;
  readonly grey: boolean;
  /** more than 1 in an animation or a file of several pages */
  readonly pages: number;
}

/** A file that cannot be read as an image, and why. */
export interface BadImage {
  readonly file: string;
  readonly reason: string;
}

/**
 * Reads headers and pixels of images, files (by path) or bytes in memory. Images are turned upright (EXIF), laid on a background where they are
 * transparent, and brought to 8 bits of sRGB or grey; of an animation the first frame is taken.
 */
export interface Decoder {
  /** What transparent images are laid on. */
  readonly background: string;
  head(file: string | Uint8Array): Promise<Head | BadImage>;
  /** H * W * C bytes of the image, scaled to cover H x W and cropped at the centre. */
  pixels(file: string | Uint8Array, head: Head, shape: ImageShape): Promise<Uint8Array | BadImage>;
  /** The same of red, green, blue and alpha bytes in memory. */
  canvas(rgba: Uint8Array, height: number, width: number, shape: ImageShape): Promise<Uint8Array>;
}

export function isBad(outcome: object): outcome is BadImage {
  return "reason" in outcome;
}

type SharpModule = (input?: Uint8Array | SharpOptions, options?: SharpOptions) => Sharp;

/** @throws BayesError without the optional package sharp, or for a background that is no colour */
export async function openDecoder({ background = "white" }: DecodeOptions = {}): Promise<Decoder> {
  const sharp = await loadSharp();
  try {
    sharp({ create: { width: 1, height: 1, channels: 3, background } });
  } catch {
    fail("images", 'background as a colour, such as "white" or "#808080"', background);
  }
  const laid = async (image: Sharp, [height, width, channels]: ImageShape): Promise<Uint8Array> => {
    const shown = image
      .flatten({ background })
      .resize(width, height, { fit: "cover" })
      .toColourspace(channels === 1 ? "b-w" : "srgb");
    const pixels = await shown.raw({ depth: "uchar" }).toBuffer();
    if (pixels.length === height * width * channels) return pixels;
    throw new Error(`it gives ${pixels.length} values instead of ${height}x${width}x${channels}`);
  };
  return {
    background,
    head: (file) =>
      reading(file, async (bytes) => {
        const meta = await sharp(bytes, LIMITS).metadata();
        const { height, width } = meta.autoOrient ?? meta;
        const format = meta.format === "heif" && meta.compression === "av1" ? "avif" : meta.format;
        if (!FORMATS.split(", ").includes(format)) throw new Error(`it is ${format}, not one of ${FORMATS}`);
        return { height, width, grey: meta.space === "b-w" || meta.space === "grey16", pages: meta.pages ?? 1 };
      }),
    pixels: (file, head, shape) =>
      reading(file, (bytes) => laid(sharp(bytes, LIMITS), shape), head.height * head.width),
    canvas: (rgba, height, width, shape) =>
      within(height * width, () => laid(sharp(rgba, { raw: { height, width, channels: 4 } }), shape)),
  };
}

/** Runs `work` on every item, a few at once, and returns the results in order. */
export async function each<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  atOnce = AT_ONCE,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i], i);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}

let inFlight = 0;
const waiting: (() => void)[] = [];

/** Runs `work` as soon as its pixels have room among those being decoded; whatever its size, it may run alone. */
export async function within<R>(pixels: number, work: () => Promise<R>): Promise<R> {
  while (inFlight > 0 && inFlight + pixels > IN_FLIGHT) await new Promise<void>((wake) => waiting.push(wake));
  inFlight += pixels;
  try {
    return await work();
  } finally {
    inFlight -= pixels;
    for (const wake of waiting.splice(0)) wake();
  }
}

/** Gives an image's bytes to `work`, if they begin as an image does (no other decoder ever sees them), within the limits. */
async function reading<T>(
  file: string | Uint8Array,
  work: (bytes: Uint8Array) => Promise<T>,
  pixels = 0,
): Promise<T | BadImage> {
  try {
    const size = typeof file === "string" ? sizeOf(file) : file.length;
    if (size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    return await within(Math.max(pixels, size), async () => {
      const bytes = typeof file === "string" ? await readFile(file) : file;
      const reason = refusal(bytes);
      if (reason !== undefined) throw new Error(reason);
      return work(bytes);
    });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const known = code === "EACCES" || code === "EPERM" ? "no permission to read it" : undefined;
    const large = /pixel limit/.test(message) ? `it has more than ${MAX_PIXELS} pixels` : undefined;
    return {
      file: typeof file === "string" ? file : "the bytes",
      reason: known ?? large ?? message.split("\n")[0].replace(/[\s:]+$/, ""),
    };
  }
}

function sizeOf(file: string): number {
  const found = statOf(file);
  if (found === undefined) throw new Error("no such file");
  if (!found.isFile()) throw new Error(found.isDirectory() ? "it is a folder" : "it is a pipe, socket or device");
  return found.size;
}

/** sharp is an optional dependency: only images need it, so only they load it. */
async function loadSharp(): Promise<SharpModule> {
  try {
    return (await import("sharp")).default as SharpModule;
  } catch (error) {
    throw new BayesError("[images] reading images needs the package sharp, which is not installed: npm install sharp", {
      code: "ERR_BAYES_MISSING",
      cause: error,
    });
  }
}
