import { readdirSync, statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { Sharp, SharpOptions } from "sharp";
import { BayesError, checkInt, fail } from "../errors.ts";
import { fileError } from "../util/atomic.ts";
import { MAX_BYTES } from "./bytes.ts";
import { type ClassDataset, makeDataset, type TrainTest } from "./dataset.ts";
import { split } from "./split.ts";

const IMAGE = /\.(png|jpe?g|webp|gif|tiff?|avif)$/i;
/** Images decoded at once: enough to keep libvips' threads busy, few enough to bound memory. */
const AT_ONCE = 16;
const LIMITS: SharpOptions = { limitInputPixels: 1e8, failOn: "error", autoOrient: true };

export interface FolderOptions {
  /** Resize to this side, or [height, width]: scaled to cover, then cropped at the centre. Default: all equal already. */
  readonly size?: number | readonly [height: number, width: number];
}

type SharpModule = (input: string, options?: SharpOptions) => Sharp;

/**
 * Reads a tree with one folder per class, classes in the order of their sorted names: dir/cat/1.png, dir/dog/x.jpg, ….
 * Images are [count, H, W, 3], or [count, H, W, 1] when every one of them is grey; transparency is dropped and EXIF
 * orientation is applied. Files that are not images, and hidden ones, are left out.
 * @throws BayesError without the optional package sharp, for an empty class, an image that cannot be decoded, or (without
 *   `size`) images of different sizes
 */
export async function loadImageFolder(dir: string, options: FolderOptions = {}): Promise<ClassDataset> {
  return readTree(await loadSharp(), dir, listFolders(dir), options);
}

/**
 * Training and test images of a tree with the subfolders train/ and test/, each with one folder per class; the test
 * set's classes must be among the training set's. A tree of classes alone is split instead: 4/5 to train on and 1/5 to
 * test on, drawn with seed 0, and named so.
 */
export async function loadImageFolders(dir: string, options: FolderOptions = {}): Promise<TrainTest> {
  const sharp = await loadSharp();
  const folders = listFolders(dir);
  if (folders.includes("train") && folders.includes("test")) {
    const classes = listFolders(join(dir, "train"));
    const train = await readTree(sharp, join(dir, "train"), classes, options);
    const size = options.size ?? ([train.shape[0], train.shape[1]] as const);
    const test = await readTree(
      sharp,
      join(dir, "test"),
      classes,
      { size },
      options.size === undefined,
      train.shape[2],
    );
    const name = basename(resolve(dir));
    return { train: { ...train, name }, test: { ...test, name } };
  }
  const all = await readTree(sharp, dir, folders, options);
  if (all.count < 5) fail(dir, "train/ and test/ subfolders, or at least 5 images to split", `${all.count} images`);
  const valid = Math.floor(all.count / 5);
  const parts = split(all, { train: all.count - valid, valid }, 0);
  return {
    train: { ...parts.train, name: `${all.name} (4/5)` },
    test: { ...parts.valid, name: `${all.name} (held-out 1/5)` },
  };
}

/**
 * Reads image files into [count, H, W, C] bytes, each scaled to cover H x W and cropped at the centre.
 * @param shape height, width, and 1 (grey) or 3 channels (RGB)
 * @throws BayesError without the optional package sharp, or for a file that is not an image
 */
export async function loadImageFiles(
  files: readonly string[],
  [height, width, channels]: readonly [number, number, number],
): Promise<Uint8Array> {
  if (channels !== 1 && channels !== 3) fail("image files", "a model with 1 or 3 input channels", channels);
  const sharp = await loadSharp();
  for (const file of files)
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) fail(file, "an image file", "no such file");
  const images = await inGroups(files, (path) => decode(sharp, path, height, width, channels));
  return Buffer.concat(images);
}

/** Reads the class folders `classes` of `dir`. With `exact`, images must have the size asked for already. */
async function readTree(
  sharp: SharpModule,
  dir: string,
  classes: readonly string[],
  { size }: FolderOptions,
  exact = size === undefined,
  wantChannels?: number,
): Promise<ClassDataset> {
  if (classes.length === 0) fail(dir, "one folder per class", "no folders");
  const strangers = listFolders(dir).filter((name) => !classes.includes(name));
  if (strangers.length > 0) fail(dir, `only classes of the training set (${classes.join(", ")})`, strangers);
  const files: string[] = [];
  const labels: number[] = [];
  for (const [label, name] of classes.entries()) {
    const images = listImages(join(dir, name));
    for (const image of images) files.push(image);
    for (let i = 0; i < images.length; i++) labels.push(label);
  }

  const heads = await inGroups(files, (path) => readHead(sharp, path));
  const [height, width] =
    size === undefined
      ? ([heads[0].height, heads[0].width] as const)
      : typeof size === "number"
        ? ([size, size] as const)
        : size;
  checkInt(dir, "image height", height, 1, 1 << 14);
  checkInt(dir, "image width", width, 1, 1 << 14);
  const odd = exact ? heads.findIndex((head) => head.height !== height || head.width !== width) : -1;
  if (odd >= 0) {
    fail(
      files[odd],
      `${height}x${width} pixels like ${files[0]}, or the size option`,
      `${heads[odd].height}x${heads[odd].width}`,
    );
  }
  const channels = wantChannels ?? (heads.every((head) => head.grey) ? 1 : 3);
  const each = height * width * channels;
  if (files.length * each > MAX_BYTES) fail(dir, `at most ${MAX_BYTES} pixel values in all`, files.length * each);

  const images = new Uint8Array(files.length * each);
  await inGroups(files, async (path, i) => {
    const pixels = await decode(sharp, path, height, width, channels);
    if (pixels.length !== each) fail(path, `${each} values of ${height}x${width}x${channels}`, pixels.length);
    images.set(pixels, i * each);
  });
  return makeDataset({ name: basename(resolve(dir)), images, labels, shape: [height, width, channels], classes });
}

async function readHead(sharp: SharpModule, path: string): Promise<{ height: number; width: number; grey: boolean }> {
  const meta = await reading(path, () => sharp(path, LIMITS).metadata());
  const { height, width } = meta.autoOrient ?? meta;
  return { height, width, grey: meta.space === "b-w" || meta.space === "grey16" };
}

function decode(
  sharp: SharpModule,
  path: string,
  height: number,
  width: number,
  channels: number,
): Promise<Uint8Array> {
  const image = sharp(path, LIMITS)
    .removeAlpha()
    .resize(width, height, { fit: "cover" })
    .toColourspace(channels === 1 ? "b-w" : "srgb");
  return reading(path, () => image.raw({ depth: "uchar" }).toBuffer());
}

async function reading<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new BayesError(
      `[${path}] expected an image, received a file that cannot be decoded (${(error as Error).message})`,
    );
  }
}

async function inGroups<T, R>(items: readonly T[], work: (item: T, index: number) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let at = 0; at < items.length; at += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(at, at + AT_ONCE).map((item, i) => work(item, at + i)))));
  }
  return results;
}

function listFolders(dir: string): string[] {
  return list(dir).filter((name) => statSync(join(dir, name)).isDirectory());
}

function listImages(dir: string): string[] {
  const images = list(dir).filter((name) => IMAGE.test(name) && statSync(join(dir, name)).isFile());
  if (images.length === 0) fail(dir, "at least one image (png, jpg, webp, gif, tif, avif)", "none");
  return images.map((name) => join(dir, name));
}

/** Visible names in a folder, in an order that does not depend on the locale. */
function list(dir: string): string[] {
  try {
    const names = readdirSync(dir).filter((name) => !name.startsWith("."));
    return names.sort((a, b) => (a < b ? -1 : 1));
  } catch (error) {
    throw fileError(error, "read", dir);
  }
}

/** sharp is an optional dependency: only image folders need it, so only they load it. */
async function loadSharp(): Promise<SharpModule> {
  try {
    return (await import("sharp")).default as SharpModule;
  } catch (error) {
    throw new BayesError(
      "[image folder] reading images needs the package sharp, which is not installed: npm install sharp",
      {
        cause: error,
      },
    );
  }
}
