/** Trees with one folder for each class. */
import { join } from "node:path";
import { BayesError, checkOptions, checkPath, failFile as fail, words } from "../util/errors.ts";
import { absentClasses, caseNotes, mismatch, sortedClasses } from "./classes.ts";
import { type AnyClassDataset, type ClassDataset, withNotes } from "./dataset.ts";
import { type ReadOptions, readImages, STREAM_OPTIONS, type StreamOptions } from "./images.ts";
import { count, folderName, LeftOut, some } from "./left-out.ts";
import { contentOf, imagesAmong, imagesBelow } from "./listing.ts";

/** The images of a tree by class, before any is decoded. */
export interface Tree {
  readonly dir: string;
  /** class folders that hold images, in the order of the classes */
  readonly classes: readonly string[];
  readonly images: ReadonlyMap<string, readonly string[]>;
  /** folders without images, and what is in them instead */
  readonly empty: readonly { readonly name: string; readonly kinds: string }[];
  /** images that lie beside the class folders, of no class */
  readonly loose: readonly string[];
  /** a table beside them, which may say what they are */
  readonly table?: string;
  readonly notes: readonly string[];
}

/**
 * Reads a tree with one folder per class: dir/cat/1.png, dir/dog/any/depth/x.jpg, …. Classes are in the order of their
 * names, numbers by size.
 *
 * Images are [count, H, W, 3] bytes, or [count, H, W, 1] when every one of them is grey. Transparent ones are laid on
 * `background`, EXIF orientation is applied, of animations the first frame is taken. What is an image is told by content:
 * PNG, JPEG, WebP, GIF, TIFF and AVIF are read under any name; all else is left out and counted in the set's `notes`.
 * @throws BayesError without the optional package sharp, for a class folder without images, for images that cannot be
 *   decoded (all of them are named; see `skipCorrupt`), or (without `size`) images of different sizes
 */
export async function loadImageFolder(dir: string, options?: ReadOptions): Promise<ClassDataset>;
export async function loadImageFolder(dir: string, options: StreamOptions): Promise<AnyClassDataset>;
export async function loadImageFolder(dir: string, options: ReadOptions = {}): Promise<AnyClassDataset> {
  checkOptions("image folder", options, STREAM_OPTIONS);
  return readTree(listTree(checkPath("image folder", dir)), options);
}

export function listTree(dir: string): Tree {
  const left = new LeftOut();
  const { folders, files } = contentOf(dir, left);
  const loose = imagesAmong(dir, files, left);
  for (const image of loose) left.add(image, "loose image");
  const table = files.find((name) => /\.(csv|tsv|jsonl|ndjson)$/i.test(name));
  const images = new Map<string, string[]>();
  const empty: { name: string; kinds: string }[] = [];
  for (const name of folders) {
    const within = new LeftOut();
    const found = imagesBelow(join(dir, name), within);
    // The same name on another system may be written in other characters (é as one or as two).
    const label = name.normalize("NFC");
    if (found.length > 0) images.set(label, (images.get(label) ?? []).concat(found));
    else empty.push({ name, kinds: within.kinds });
    if (found.length === 0) within.emptyFolders.length = 0;
    left.addAll(within);
  }
  return { dir, classes: sortedClasses(images.keys()), images, empty, loose, table, notes: left.notes(dir) };
}

/**
 * Reads a tree. As a test set (with `like`, its training set) it has the training set's classes, by name, and its
 * folders may lack some of them.
 */
export async function readTree(tree: Tree, options: ReadOptions, like?: AnyClassDataset): Promise<AnyClassDataset> {
  const { dir, empty, loose } = tree;
  const notes = [...tree.notes];
  const emptyNames = empty.map(({ name, kinds }) => (kinds === "" ? name : `${name} (${kinds})`)).join(", ");
  if (tree.classes.length === 0) {
    const found = loose.length > 0 ? `${count(loose.length, "image")} without a class` : emptyNames || "no folders";
    const hint = tree.table === undefined ? "" : `; is ${join(dir, tree.table)} the table that says what they are?`;
    throw new BayesError(`[${dir}] expected one folder per class, with images in each, received ${found}${hint}`, {
      code: "ERR_BAYES_FILE",
    });
  }
  if (like === undefined && empty.length > 0) {
    throw new BayesError(
      `[${dir}] expected images in every class folder, received none in ${emptyNames}; a folder that is no class has no place there`,
      { code: "ERR_BAYES_FILE" },
    );
  }
  const classes = like?.classes ?? tree.classes;
  const numbers = new Map(classes.map((name, i) => [name, i]));
  const strangers = tree.classes.filter((name) => !numbers.has(name));
  if (strangers.length > 0)
    throw new BayesError(`[${dir}] ${mismatch(strangers, tree.classes, classes)}`, { code: "ERR_BAYES_FILE" });
  notes.push(...caseNotes(tree.classes));
  const foreign = empty.filter(({ name }) => !classes.includes(name)).map(({ name }) => join(dir, name));
  if (foreign.length > 0) notes.push(`no images in ${count(foreign.length, "folder")}: ${some(foreign, dir)}`);

  const files = tree.classes.flatMap((name) => tree.images.get(name)!);
  const labels = tree.classes.flatMap((name) => tree.images.get(name)!.map(() => numbers.get(name)!));
  const parts = (kept: readonly number[]) => ({ name: folderName(dir), labels: kept.map((i) => labels[i]), classes });
  const read = await readImages(dir, files, parts, options, like?.shape);
  const data = read.data as AnyClassDataset;
  const absent = absentClasses(data);
  if (like === undefined && absent.length > 0)
    fail(dir, `images that can be decoded in every class folder`, words(`none in ${absent.join(", ")}`));
  if (absent.length > 0) notes.push(`${folderName(dir)} has no images of ${absent.join(", ")}`);
  return withNotes(data, [...notes, ...read.notes]);
}
