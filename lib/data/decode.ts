import type { Metadata, Sharp, SharpOptions } from "sharp";
import { BayesError, fail } from "../util/errors.ts";
import { headOf, kindOf, readRegularAsync, statOf } from "../util/regular.ts";
import { type ImageShape, imageSize } from "./dataset.ts";
import { FORMATS, formatOf, HEAD_BYTES, refusal } from "./format.ts";

/** Files worked on at once by one reader: enough to keep the decoder's threads busy. */
const AT_ONCE = 16;
/** Pixels that one image may have. */
export const MAX_PIXELS = 1e8;
const MAX_SIDE = 1 << 16;
/** Bytes that one image may have, decoded or as a file: all its pixels at 16 bits a channel, with alpha. */
const MAX_IMAGE = 8 * MAX_PIXELS;
/** Bytes of files, their pixels and what becomes of them that all readers of a thread together hold at once: large images come one after the other. */
export const IN_FLIGHT = MAX_IMAGE / 2;
/** Files of more bytes are looked at before they are read. */
const LARGE = 1 << 20;

const LIMITS: SharpOptions = { failOn: "error", autoOrient: true };
/** Bytes of one value, by libvips' names. */
const DEPTHS: Readonly<Record<string, number>> = {
  ushort: 2,
  short: 2,
  uint: 4,
  int: 4,
  float: 4,
  complex: 8,
  double: 8,
};

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
  /** bytes that decoding it takes */
  readonly bytes: number;
  /** whether its values have 16 bits or more */
  readonly deep: boolean;
}

/** The pixels of a whole picture: grey or red, green, blue, and alpha where it has some. */
export interface Pixels {
  /** Shape [height, width, channels]: 0 to 255 in a Uint8Array, 0 to 65535 in a Uint16Array. */
  readonly values: Uint8Array | Uint16Array;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** A file that cannot be read as an image, and why. */
export interface BadImage {
  readonly file: string;
  readonly reason: string;
}

/** What one opening of a file gives. */
export interface Decoded {
  readonly head: Head;
  /** Of the shape that was asked for, if one was. */
  readonly pixels: Uint8Array | BadImage | undefined;
}

/**
 * Reads headers and pixels of images, files (by path) or bytes in memory. Images are turned upright (EXIF), laid on a background where they are
 * transparent, and brought to 8 bits of sRGB or grey; of an animation the first frame is taken.
 */
export interface Decoder {
  /** What transparent images are laid on. */
  readonly background: string;
  head(file: string | Uint8Array): Promise<Head | BadImage>;
  /** Header and {@link pixels}, if `shapeOf` asks for some: a file that is not large is opened once. */
  image(file: string, shapeOf: (head: Head) => ImageShape | undefined): Promise<Decoded | BadImage>;
  /** H * W * C bytes of the image, scaled to cover H x W and cropped at the centre. */
  pixels(file: string | Uint8Array, head: Head, shape: ImageShape): Promise<Uint8Array | BadImage>;
  /** All of the image in its own size, with its alpha channel, at 16 bits where it has as many. */
  whole(file: string | Uint8Array, head: Head): Promise<Pixels | BadImage>;
  /** The pixels of {@link pixels} of red, green, blue and alpha bytes in memory. */
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
  /** @param own whether the image has that size already */
  const laid = async (image: Sharp, [height, width, channels]: ImageShape, own: boolean): Promise<Uint8Array> => {
    const flat = image.flatten({ background });
    const sized = own ? flat : flat.resize(width, height, { fit: "cover" });
    const shown = sized.toColourspace(channels === 1 ? "b-w" : "srgb");
    const pixels = await shown.raw({ depth: "uchar" }).toBuffer();
    if (pixels.length === height * width * channels) return pixels;
    throw new Error(`it gives ${pixels.length} values instead of ${height}x${width}x${channels}`);
  };
  const headIn = async (bytes: Uint8Array): Promise<Head> => {
    // The header alone is read here, so an image of any size may be: its size is then said.
    const meta = await sharp(bytes, { ...LIMITS, limitInputPixels: false }).metadata();
    const { height, width } = meta.autoOrient ?? meta;
    const format = meta.format === "heif" && meta.compression === "av1" ? "avif" : meta.format;
    if (!FORMATS.split(", ").includes(format)) throw new Error(`it is ${format}, not one of ${FORMATS}`);
    if (format !== formatOf(bytes)) throw new Error(`it begins as ${formatOf(bytes)} and is read as ${format}`);
    if (height * width > MAX_PIXELS)
      throw new Error(`it has ${height}x${width} pixels, more than ${MAX_PIXELS} in all`);
    // a decoder works in strips as wide as the image, whatever its height
    if (Math.max(height, width) > MAX_SIDE)
      throw new Error(`it has ${height}x${width} pixels, more than ${MAX_SIDE} along one side`);
    const size = height * width * bytesEach(meta);
    if (size > MAX_IMAGE) throw new Error(`it has ${size} bytes decoded, more than ${MAX_IMAGE}`);
    const grey = meta.space === "b-w" || meta.space === "grey16";
    return { height, width, grey, pages: meta.pages ?? 1, bytes: size, deep: meta.depth !== "uchar" };
  };
  // Should it be another file by now, it still has no more pixels than were reckoned with.
  const pixels: Decoder["pixels"] = (file, head, shape) =>
    reading(
      file,
      (bytes) =>
        laid(
          sharp(bytes, { ...LIMITS, limitInputPixels: head.height * head.width }),
          shape,
          head.height === shape[0] && head.width === shape[1],
        ),
      head.bytes + imageSize(shape),
    );
  return {
    background,
    head: (file) => reading(file, headIn),
    image: async (file, shapeOf) => {
      let kept: Uint8Array | undefined; // until it is decoded, uncounted: readers hold a few of them
      const head = await reading(file, (bytes) => {
        if (bytes.length <= LARGE) kept = bytes;
        return headIn(bytes);
      });
      if (isBad(head)) return head;
      const shape = shapeOf(head);
      const decoded = shape && (await pixels(kept ?? file, head, shape));
      return { head, pixels: decoded && isBad(decoded) ? { ...decoded, file } : decoded };
    },
    whole: (file, head) =>
      reading(
        file,
        async (bytes) => {
          const image = sharp(bytes, { ...LIMITS, limitInputPixels: head.height * head.width });
          const { hasAlpha } = await image.metadata();
          const grey = head.grey && !hasAlpha; // of grey with alpha sharp gives the grey alone as raw pixels
          const space = grey ? (head.deep ? "grey16" : "b-w") : head.deep ? "rgb16" : "srgb";
          const raw = image.toColourspace(space).raw({ depth: head.deep ? "ushort" : "uchar" });
          const { data, info } = await raw.toBuffer({ resolveWithObject: true });
          const { height, width, channels } = info;
          const values = head.deep ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2) : data;
          if (values.length !== height * width * channels || channels > 4)
            throw new Error(`it gives ${values.length} values of ${channels} channels for ${height}x${width} pixels`);
          if (!head.grey || channels < 4) return { values, height, width, channels };
          const two = values.filter((_, i) => i % 4 === 0 || i % 4 === 3);
          return { values: two, height, width, channels: 2 };
        },
        head.bytes,
      ),
    pixels,
    canvas: (rgba, height, width, shape) =>
      within(2 * rgba.length + imageSize(shape), () =>
        laid(sharp(rgba, { raw: { height, width, channels: 4 } }), shape, height === shape[0] && width === shape[1]),
      ),
  };
}

/** Decoders hold at least four bytes a pixel: of progressive JPEG all coefficients, of GIF a canvas. */
const bytesEach = ({ channels, depth }: Metadata): number => Math.max(4, channels * (DEPTHS[depth] ?? 1));

/** Runs `work` on every item, a few at once, and returns the results in order. After one that fails no more are begun. */
export async function each<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
  atOnce = AT_ONCE,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  const worker = async () => {
    try {
      for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i], i);
    } catch (error) {
      next = items.length;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return results;
}

let inFlight = 0;
/** Who waits, in the order of coming: a large image does not wait for ever behind small ones that keep coming. */
const waiting: { readonly bytes: number; readonly wake: () => void }[] = [];

const fits = (bytes: number): boolean => inFlight === 0 || inFlight + bytes <= IN_FLIGHT;

/** Runs `work` as soon as its bytes have room among those held; whatever its size, it may run alone. */
export async function within<R>(bytes: number, work: () => Promise<R>): Promise<R> {
  if (waiting.length === 0 && fits(bytes)) inFlight += bytes;
  else await new Promise<void>((wake) => waiting.push({ bytes, wake }));
  try {
    return await work();
  } finally {
    inFlight -= bytes;
    while (waiting.length > 0 && fits(waiting[0].bytes)) {
      const next = waiting.shift()!;
      inFlight += next.bytes;
      next.wake();
    }
  }
}

/**
 * Gives an image's bytes to `work`, if they begin as an image does (no other decoder ever sees them), within the limits.
 * @param decoded bytes that `work` holds beside the file's
 */
async function reading<T>(
  file: string | Uint8Array,
  work: (bytes: Uint8Array) => Promise<T>,
  decoded = 0,
): Promise<T | BadImage> {
  try {
    const size = typeof file === "string" ? sizeOf(file) : file.length;
    if (size > MAX_IMAGE) throw new Error(`it has more than ${MAX_IMAGE} bytes`);
    const begin = size > LARGE && typeof file === "string" ? headOf(file, HEAD_BYTES) : undefined;
    if (begin?.length) checkBegin(begin);
    return await within(decoded + size, async () => {
      const bytes = typeof file === "string" ? await readRegularAsync(file, { most: size }) : file;
      checkBegin(bytes);
      return work(bytes);
    });
  } catch (error) {
    return { file: typeof file === "string" ? file : "the bytes", reason: reasonOf(error as Error) };
  }
}

function checkBegin(bytes: Uint8Array): void {
  const reason = refusal(bytes);
  if (reason !== undefined) throw new Error(reason);
}

function reasonOf({ message, cause }: Error): string {
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  if (code === "EACCES" || code === "EPERM") return "no permission to read it";
  if (/pixel limit/.test(message)) return "it has more pixels than its header had before";
  return message.split("\n")[0];
}

function sizeOf(file: string): number {
  const found = statOf(file);
  if (found === undefined) throw new Error("no such file");
  if (!found.isFile()) throw new Error(`it is ${kindOf(found)}`);
  return found.size;
}

/**
 * sharp is an optional dependency: only images need it, so only they load it. Its cache of operations, one for the whole
 * process, is switched off: it would keep up to a hundred of them with their decoders, hundreds of megabytes each for large
 * images, and never use them again.
 */
async function loadSharp(): Promise<SharpModule> {
  try {
    const sharp = (await import("sharp")).default;
    sharp.cache(false);
    return sharp as SharpModule;
  } catch (error) {
    throw new BayesError("[images] reading images needs the package sharp, which is not installed: npm install sharp", {
      code: "ERR_BAYES_MISSING",
      cause: error,
    });
  }
}
