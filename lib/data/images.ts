import { BayesError, checkInt, checkOptions, fail } from "../util/errors.ts";
import { checkMemory, freeMemory } from "../util/memory.ts";
import { MAX_BYTES, statOf } from "../util/regular.ts";
import { Cache } from "./cache.ts";
import {
  type AnyDataset,
  type ClassParts,
  examplesOf,
  type ImageShape,
  imageSize,
  makeDataset,
  type StreamedDataset,
  subset,
  type TargetParts,
} from "./dataset.ts";
import { type BadImage, type DecodeOptions, each, type Head, isBad, openDecoder } from "./decode.ts";
import { exampleKeys, keyOf } from "./identity.ts";
import { count, LeftOut, shortPath, some } from "./left-out.ts";
import { imagesBelow } from "./listing.ts";
import { knownSource, type PassOptions } from "./source.ts";

/** How images are read into a data set. */
export interface ReadOptions extends DecodeOptions {
  /** Resize to this side, or [height, width]: scaled to cover, then cropped at the centre. Default: all equal already. */
  readonly size?: number | readonly [height: number, width: number];
  /** Leave out images that cannot be decoded, and say so in the notes. Default false: they are an error. */
  readonly skipCorrupt?: boolean;
}

const READ_OPTIONS = { size: "number|object", skipCorrupt: "boolean", background: "string" } as const;

/** How images are read that may not fit into memory. */
export interface StreamOptions extends ReadOptions, PassOptions {
  /**
   * Decode images when they are needed instead of keeping them in memory: true or false, or "auto" for those of more than
   * `maxBytes`, of which a note says so. All are decoded once when the set is opened, so identity, split and order, what is
   * left out and what is refused are those of the same images in memory.
   */
  readonly stream: boolean | "auto";
  /** Decoded bytes that "auto" keeps in memory; default a quarter of what is free, at most 2 GiB. */
  readonly maxBytes?: number;
  /** Bytes of decoded images that a streamed set remembers, the last ones used; default 256 MiB. */
  readonly cacheBytes?: number;
}

/** @internal */
export const STREAM_OPTIONS = {
  ...READ_OPTIONS,
  stream: "boolean|string",
  maxBytes: "number",
  cacheBytes: "number",
  onProgress: "function",
  signal: "object",
} as const;

/** Name and targets of a set of images, of those files whose numbers are given. */
export type PartsOf = (
  kept: readonly number[],
) => { readonly name: string } & (
  | Pick<ClassParts, "labels" | "classes">
  | Pick<TargetParts, "targets" | "targetShape" | "targetNames">
);

/** A set of image files, and which of the files could be read, ascending. */
export interface ReadSet {
  readonly data: AnyDataset;
  readonly kept: readonly number[];
  readonly notes: readonly string[];
}

/**
 * Reads image files into a set. Without `size` they must all have the same size already, that of `like` if given.
 * They have one channel if all of them are grey, else three; or as many as `like`.
 * @param root folder or table that names the files, for messages
 * @throws BayesError for images that cannot be decoded (all of them are named), or of different sizes
 */
export async function readImages(
  root: string,
  files: readonly string[],
  parts: PartsOf,
  options: ReadOptions & Partial<StreamOptions>,
  like?: ImageShape,
): Promise<ReadSet> {
  const { stream = false, signal } = options;
  if (typeof stream === "string" && stream !== "auto") fail(root, 'stream as true, false or "auto"', stream);
  const cacheBytes = checkInt(root, "cacheBytes", options.cacheBytes ?? CACHE_BYTES, 0);
  const most = checkInt(root, "maxBytes", options.maxBytes ?? Math.min(MAX_BYTES, Math.floor(freeMemory() / 4)), 0);
  const decoder = await openDecoder(options);
  const { background } = decoder;
  const all = [...files.keys()];
  const given = sizeOf(root, options.size) ?? like;
  const cache = new Cache(cacheBytes);

  /** Where the pixels of such a shape go. */
  const room = (shape: ImageShape) => {
    const size = imageSize(shape);
    const bytes = files.length * size;
    const streamed = stream === "auto" ? bytes > most : stream;
    if (!streamed && bytes > MAX_BYTES)
      throw new BayesError(
        `[${root}] expected at most ${MAX_BYTES} bytes of pixels, received ${bytes}; the option stream (--stream) reads them when they are needed`,
        { code: "ERR_BAYES_DATA" },
      );
    if (!streamed) checkMemory(root, bytes, "the option stream (--stream) reads images when they are needed");
    const images = new Uint8Array(streamed ? 0 : bytes);
    const keys = { examples: new BigUint64Array(files.length), pixels: new BigUint64Array(files.length) };
    const about = examplesOf(`data set ${root}`, root, { shape, background, ...parts(all) }, files.length);
    const keyAt = exampleKeys(about, size);
    const put = (i: number, pixels: Uint8Array) => {
      if (!streamed) images.set(pixels, i * size);
      else {
        keys.examples[i] = keyAt(i, pixels);
        keys.pixels[i] = keyOf(pixels);
        cache.set(i, pixels);
      }
    };
    return { shape, size, bytes, streamed, images, keys, about, put };
  };

  // Each file is opened once, in the hope that the first header is like all others: until one has another size, which is an
  // error, or colours behind a grey one. Then there is a second pass.
  let set: ReturnType<typeof room> | undefined;
  let [odd, coloured, done] = [false, false, 0];
  const shapeOf = (head: Head): ImageShape | undefined => {
    const [height, width] = given ?? [head.height, head.width];
    set ??= room([height, width, like?.[2] ?? (head.grey ? 1 : 3)]);
    const { shape } = set;
    odd ||= options.size === undefined && (head.height !== shape[0] || head.width !== shape[1]);
    coloured ||= !like && shape[2] === 1 && !head.grey;
    return odd || coloured ? undefined : shape;
  };
  const heads = new Array<Head | BadImage>(files.length);
  const bad = new Array<BadImage | undefined>(files.length);
  const take = (i: number, pixels: Uint8Array | BadImage) => {
    options.onProgress?.(++done, files.length);
    if (isBad(pixels)) bad[i] = pixels;
    else set!.put(i, pixels);
  };
  await each(files, async (file, i) => {
    signal?.throwIfAborted();
    const read = await decoder.image(file, shapeOf);
    heads[i] = isBad(read) ? read : read.head;
    const pixels = isBad(read) ? read : read.pixels;
    if (pixels && !coloured) take(i, pixels);
  });
  const good = heads.filter((head) => !isBad(head)) as Head[];
  if (!set) throw corrupt(root, heads.filter(isBad));
  const [height, width] = given ?? [good[0].height, good[0].width];
  if (options.size === undefined) checkSizes(root, files, heads, [height, width], like !== undefined);
  if (coloured) {
    set = room([height, width, 3]);
    done = 0;
    bad.fill(undefined);
    await each(all, async (i) => {
      signal?.throwIfAborted();
      const head = heads[i];
      take(i, isBad(head) ? head : await decoder.pixels(files[i], head, set!.shape));
    });
  }
  const { shape, size, bytes, streamed, images, keys, about } = set;
  const failed = bad.filter((reason) => reason !== undefined);
  if (failed.length === files.length || (failed.length > 0 && !options.skipCorrupt)) throw corrupt(root, failed);
  const kept = all.filter((i) => bad[i] === undefined);
  const notes =
    failed.length === 0 ? [] : [`left out ${count(failed.length, "corrupt image")}: ${reasons(root, failed)}`];
  const moving = files.filter((_, i) => bad[i] === undefined && (heads[i] as Head).pages > 1);
  if (moving.length > 0)
    notes.push(`took the first frame of ${count(moving.length, "image")} with several: ${some(moving, root)}`);
  const { name, ...targets } = parts(kept);
  if (!streamed) {
    const set = { name, images: gathered(images, kept, size), shape, background, ...targets };
    return { data: makeDataset(set as TargetParts), kept, notes };
  }
  if (stream === "auto")
    notes.push(
      `${count(kept.length, "image")} of ${bytes} bytes decoded are read when they are needed: they would not fit into memory`,
    );
  const read = async (indices: Int32Array, signal?: AbortSignal) => {
    const out = new Uint8Array(indices.length * size);
    await each([...indices], async (i, at) => {
      signal?.throwIfAborted();
      let pixels: Uint8Array | BadImage | undefined = cache.get(i);
      if (!pixels) {
        pixels = await decoder.pixels(files[i], heads[i] as Head, shape);
        if (isBad(pixels)) throw new Error(pixels.reason);
        cache.set(i, pixels);
      }
      out.set(pixels, at * size);
    });
    return out;
  };
  const where = `data set ${name}`;
  const reader = { where, shape, count: files.length, pixels: "u8", read, describe: (i: number) => files[i] } as const;
  const source: StreamedDataset = { ...about, name, pixels: "u8", ...knownSource(reader, keys) };
  return { data: subset(source, kept), kept, notes };
}

const CACHE_BYTES = 256 << 20;

/** The images of these ascending numbers, moved together. */
function gathered(images: Uint8Array, kept: readonly number[], size: number): Uint8Array {
  for (const [to, from] of kept.entries())
    if (to !== from) images.copyWithin(to * size, from * size, (from + 1) * size);
  return images.subarray(0, kept.length * size);
}

/** Images for a model to look at. */
export interface LoadedImages {
  /** count * H * W * C bytes, NHWC */
  readonly images: Uint8Array;
  readonly shape: ImageShape;
  readonly count: number;
  /** path of each image */
  readonly files: readonly string[];
  /** files that were asked for but could not be read, and why */
  readonly failed: readonly BadImage[];
  /** sentences for people, such as which files of a folder were left out */
  readonly notes: readonly string[];
}

/**
 * Reads images of any size for a model to look at, without classes: each is scaled to cover H x W and cropped at the
 * centre. One bad file costs only itself.
 * @param source image files, or folders, of which all images are taken, at any depth
 * @param shape height, width, and 1 (grey) or 3 channels (RGB), as the model's inputShape
 * @throws BayesError without the optional package sharp, or when not one image can be read
 */
export async function loadImages(
  source: string | readonly string[],
  shape: ImageShape,
  options: DecodeOptions = {},
): Promise<LoadedImages> {
  const where = "images";
  checkOptions(where, options, { background: "string" });
  if (!Array.isArray(shape) || shape.length !== 3) fail(where, "shape as [height, width, channels]", shape);
  const [height, width, channels] = shape;
  for (const [i, what] of ["height", "width"].entries()) checkInt(where, what, shape[i], 1, 1 << 14);
  if (channels !== 1 && channels !== 3) fail(where, "a model with 1 or 3 input channels", channels);
  const paths = typeof source === "string" ? [source] : source;
  if (!Array.isArray(paths) || paths.length === 0 || paths.some((path) => typeof path !== "string"))
    fail(where, "paths of image files or folders", source);
  const decoder = await openDecoder(options);

  const notes: string[] = [];
  const files = paths.flatMap((path) => {
    if (!statOf(path)?.isDirectory()) return [path];
    const left = new LeftOut();
    const found = imagesBelow(path, left);
    if (found.length === 0) left.emptyFolders.splice(0, Infinity, path);
    notes.push(...left.notes(path));
    return found;
  });
  if (files.length === 0)
    throw new BayesError(`[${where}] expected at least one image, received none; ${notes.join("; ")}`, {
      code: "ERR_BAYES_FILE",
    });
  const size = height * width * channels;
  if (files.length * size > MAX_BYTES)
    fail(where, `at most ${MAX_BYTES} pixel values in all`, files.length * size, "ERR_BAYES_DATA");
  checkMemory(where, files.length * size, "load fewer images at a time");

  const moving: string[] = [];
  const all = new Uint8Array(files.length * size);
  const read = await each(files, async (file, i) => {
    const read = await decoder.image(file, () => shape);
    if (isBad(read)) return read;
    const pixels = read.pixels!;
    if (isBad(pixels)) return pixels;
    if (read.head.pages > 1) moving.push(file);
    all.set(pixels, i * size);
  });
  const failed = read.filter((bad) => bad !== undefined);
  if (failed.length === files.length) throw corrupt(where, failed, false);
  if (moving.length > 0) notes.push(`took the first frame of ${count(moving.length, "image")} with several`);
  const kept = [...files.keys()].filter((i) => read[i] === undefined);
  const images = gathered(all, kept, size);
  const good = kept.map((i) => files[i]);
  return { images, shape: [height, width, channels], count: good.length, files: good, failed, notes };
}

/** Height and width from the size option. */
function sizeOf(where: string, size: ReadOptions["size"]): readonly [number, number] | undefined {
  if (size === undefined) return undefined;
  const sides = typeof size === "number" ? [size, size] : size;
  if (!Array.isArray(sides) || sides.length !== 2) fail(where, "size as a number or [height, width]", size);
  checkInt(where, "image height", sides[0], 1, 1 << 14);
  checkInt(where, "image width", sides[1], 1, 1 << 14);
  return [sides[0], sides[1]];
}

/** "32" or "48x64" (height x width) as the size option takes it. @throws BayesError for anything else */
export function parseSize(text: string): number | [height: number, width: number] {
  const match = /^(\d{1,5})(?:x(\d{1,5}))?$/i.exec(text);
  if (match === null) return fail("image size", 'one side as "32", or height and width as "48x64"', text);
  const size = match[2] === undefined ? Number(match[1]) : ([Number(match[1]), Number(match[2])] as [number, number]);
  sizeOf("image size", size);
  return size;
}

function checkSizes(
  root: string,
  files: readonly string[],
  heads: readonly (Head | BadImage)[],
  [height, width]: readonly [number, number],
  trained: boolean,
): void {
  const odd = [...files.keys()].filter((i) => {
    const head = heads[i];
    return !isBad(head) && (head.height !== height || head.width !== width);
  });
  if (odd.length === 0) return;
  const { height: h, width: w } = heads[odd[0]] as Head;
  const model = trained ? "the training images" : shortPath(files[heads.findIndex((head) => !isBad(head))], root);
  throw new BayesError(
    `[${root}] expected images of ${height}x${width} pixels like ${model}, received ${h}x${w} in ${some(
      files.filter((_, i) => i === odd[0]),
      root,
    )}` +
      `${odd.length > 1 ? ` and other sizes than the first in ${odd.length} of ${files.length} images` : ""}; ` +
      "the option size (--image-size) scales and crops them",
    { code: "ERR_BAYES_FILE" },
  );
}

function corrupt(root: string, failed: readonly BadImage[], canSkip = true): BayesError {
  const received =
    failed.length === 1 ? "a file that cannot be decoded" : `${failed.length} files that cannot be decoded`;
  const help = canSkip ? "; the option skipCorrupt (--skip-corrupt) leaves them out" : "";
  return new BayesError(`[${root}] expected images, received ${received}: ${reasons(root, failed)}${help}`, {
    code: "ERR_BAYES_FILE",
  });
}

function reasons(root: string, failed: readonly BadImage[]): string {
  const shown = failed.slice(0, 10).map(({ file, reason }) => `${shortPath(file, root)} (${reason})`);
  return `${shown.join("; ")}${failed.length > 10 ? `; and ${failed.length - 10} more` : ""}`;
}
