/** How folders of images are laid out into training, validation and test images. */
import { join } from "node:path";
import { BayesError, checkOptions, checkPath, failFile as fail, words } from "../util/errors.ts";
import { statOf } from "../util/regular.ts";
import { checkTrainingClasses } from "./classes.ts";
import { type AnyClassDataset, type AnyDataset, type TrainTest, withNotes } from "./dataset.ts";
import { listTree, readTree } from "./folder.ts";
import { type ReadOptions, STREAM_OPTIONS, type StreamOptions } from "./images.ts";
import { count, folderName, LeftOut } from "./left-out.ts";
import { contentOf } from "./listing.ts";
import { split } from "./split.ts";

export type Part = "train" | "valid" | "test";

const PARTS: ReadonlyMap<string, Part> = new Map([
  ["train", "train"],
  ["training", "train"],
  ["val", "valid"],
  ["valid", "valid"],
  ["validation", "valid"],
  ["test", "test"],
  ["testing", "test"],
]);

/** The part of the data that a folder or an entry of a table names, in any case. */
export function partOf(name: string): Part | undefined {
  return PARTS.get(name.toLowerCase());
}

/**
 * Training and test images of a folder, laid out in one of these ways; each tree has one folder per class, as
 * {@link loadImageFolder} reads it:
 *
 * - train/ and test/ (or training/, testing/, in any case), with or without val/ (or valid/, validation/), whose images
 *   become `valid`. The other trees' classes must be among the training set's, and are matched by name.
 * - train/ and val/: val/ is the test set, and a note says so.
 * - train/ alone, or beside a test/ that has no class folders; or class folders alone: a fifth of every class is held out
 *   as the test set, and the rest is to train on. That is a function of the images' content, whatever the files are called.
 *
 * What was left out is in the `notes` of the parts.
 * @throws BayesError as {@link loadImageFolder}, and when there is only one class to train on
 */
export async function loadImageFolders(dir: string, options?: ReadOptions): Promise<TrainTest>;
export async function loadImageFolders(dir: string, options: StreamOptions): Promise<TrainTest<AnyClassDataset>>;
export async function loadImageFolders(dir: string, options: ReadOptions = {}): Promise<TrainTest<AnyClassDataset>> {
  checkOptions("image folder", options, STREAM_OPTIONS);
  const left = new LeftOut();
  const { folders, files } = contentOf(checkPath("image folder", dir), left);
  const parts = partsAmong(dir, folders);
  if (parts === undefined) return heldOut(await trainingTree(dir, options));

  for (const file of files) left.add(join(dir, file));
  const notes = left.notes(dir);
  const beside = folders.filter((name) => !Object.values(parts).includes(name));
  if (beside.length > 0) notes.push(`left out ${beside.join(", ")} beside ${parts.train}/`);
  const name = folderName(dir);
  const named = (data: AnyClassDataset) => ({ ...data, name });
  const train = withNotes(named(await trainingTree(join(dir, parts.train), options)), notes);
  const other = async (folder: string | undefined): Promise<AnyClassDataset | undefined> => {
    if (folder === undefined) return undefined;
    const tree = listTree(join(dir, folder));
    if (tree.classes.length > 0) return named(await readTree(tree, options, train));
    const held = tree.loose.length > 0 ? `${count(tree.loose.length, "image")} without a class` : "no images";
    notes.push(`${folder}/ holds ${held}, and is not used`);
    return undefined;
  };
  const [valid, test] = [await other(parts.valid), await other(parts.test)];
  return whole({ train: withNotes(train, notes), valid, test });
}

/**
 * The images of a folder that are to be tested on: those of test/ (or else val/) where the folder is laid out in parts, and
 * all of them where it holds class folders. @returns undefined for a folder of neither kind
 */
export async function loadTestImages(
  dir: string,
  options: ReadOptions | StreamOptions = {},
): Promise<AnyClassDataset | undefined> {
  checkOptions("image folder", options, STREAM_OPTIONS);
  if (statOf(dir)?.isDirectory() !== true) return undefined;
  const { folders } = contentOf(dir, new LeftOut());
  if (folders.length === 0) return undefined;
  const parts = partsAmong(dir, folders);
  const part = parts?.test ?? parts?.valid;
  if (parts && part === undefined) return undefined;
  return { ...(await readTree(listTree(part === undefined ? dir : join(dir, part)), options)), name: folderName(dir) };
}

/** Makes up for a part that is not there: without a test set, the validation set is it, or else a fifth of training's. */
export function whole<D extends AnyDataset>(parts: { train: D; valid?: D; test?: D }): TrainTest<D> {
  const { train, valid, test } = parts;
  if (test !== undefined) return { train, test, ...(valid ? { valid } : {}) };
  if (valid === undefined) return heldOut(train);
  const note = "the validation images serve as the test set, because there is no other";
  return { train, test: withNotes({ ...valid, name: `${valid.name} (validation)` }, [note]) };
}

/** Four fifths to train on and one to test on, of every class, drawn by content with seed 0. */
export function heldOut<D extends AnyDataset>(all: D): TrainTest<D> {
  if (all.count < 5) fail(all.name, "images to test on, or at least 5 to split", words(`${all.count} images`));
  const { train, valid } = split(all, { valid: Math.floor(all.count / 5) }, 0);
  return { train: { ...train, name: `${all.name} (4/5)` }, test: { ...valid, name: `${all.name} (held-out 1/5)` } };
}

/** The folders of a layout by part; undefined where all folders are classes (of which one may be called "test"). */
function partsAmong(
  dir: string,
  folders: readonly string[],
): { train: string; valid?: string; test?: string } | undefined {
  const parts: Partial<Record<Part, string>> = {};
  for (const folder of folders) {
    const part = partOf(folder);
    if (part === undefined) continue;
    if (parts[part] !== undefined && parts.train !== undefined)
      fail(dir, `one folder of ${part} images`, words(`${parts[part]} and ${folder}`));
    parts[part] = folder;
  }
  const { train, valid, test } = parts;
  if (train !== undefined && (valid !== undefined || test !== undefined || folders.length === 1))
    return { ...parts, train };
  if (train === undefined && folders.length > 0 && folders.every((folder) => partOf(folder)))
    fail(dir, "a folder train/ beside these", folders);
  return undefined;
}

async function trainingTree(dir: string, options: ReadOptions): Promise<AnyClassDataset> {
  const tree = listTree(dir);
  if (tree.classes.length === 1 && tree.empty.length === 0) {
    // An archive often unpacks to a folder in a folder.
    const [only] = tree.classes;
    const within = listTree(join(dir, only)).classes;
    const hint = within.length > 1 ? `; are the classes in ${join(dir, only)} (${within.slice(0, 5).join(", ")})?` : "";
    throw new BayesError(
      `[${dir}] expected images of at least two classes to train on, received one class folder, ${only}${hint}`,
      { code: "ERR_BAYES_FILE" },
    );
  }
  const data = await readTree(tree, options);
  checkTrainingClasses(dir, data);
  return data;
}
