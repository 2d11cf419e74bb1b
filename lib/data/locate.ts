import { basename, isAbsolute, join, resolve } from "node:path";
import { BayesError, checkOptions, checkPath, fail, words } from "../util/errors.ts";
import { packageRoot } from "../util/package.ts";
import { headOf, statOf } from "../util/regular.ts";
import { findFile } from "./bytes.ts";
import { CIFAR_FILES, loadCifar10, loadCifar100 } from "./cifar.ts";
import type { AnyDataset, Dataset, TrainTest } from "./dataset.ts";
import { formatOf, HEAD_BYTES } from "./format.ts";
import { type ReadOptions, STREAM_OPTIONS, type StreamOptions } from "./images.ts";
import { loadImageFolders, partOf } from "./layouts.ts";
import { LeftOut } from "./left-out.ts";
import { contentOf } from "./listing.ts";
import { loadMnist, MNIST_FILES } from "./mnist.ts";
import { loadTable } from "./table.ts";

/** The data sets that are known by name. */
export const DATASETS = ["mnist", "fashion-mnist", "cifar-10", "cifar-100"] as const;
export type DatasetName = (typeof DATASETS)[number];

/** Where a data set's own archive unpacks to, below the folder that is looked in. */
const ARCHIVE_FOLDER: Partial<Record<DatasetName, string>> = {
  "cifar-10": "cifar-10-batches-bin",
  "cifar-100": "cifar-100-binary",
};

export function isDatasetName(name: string): name is DatasetName {
  return (DATASETS as readonly string[]).includes(name);
}

/** The folder that holds data: `dataDir` if given, else the environment variable BAYESCNN_DATA, else ./data. */
export function dataRoot(dataDir?: string): string {
  if (dataDir !== undefined) checkPath("data folder", dataDir);
  return resolve(dataDir ?? (process.env.BAYESCNN_DATA || "data"));
}

/** Places in which `findData` looks for a set that is known by name, in order. */
function foldersOf(name: DatasetName, dataDir?: string): string[] {
  const root = dataRoot(dataDir);
  const below = ARCHIVE_FOLDER[name];
  const folders = [join(root, name)];
  // MNIST and Fashion-MNIST share their file names: a folder called by the other's name is not what was asked for.
  if (basename(root) === name || !isDatasetName(basename(root))) folders.push(root);
  return below === undefined ? folders : folders.flatMap((folder) => [folder, join(folder, below)]);
}

/**
 * Places in which `findData` looks for a folder or a table given by its path, in order. Where a folder is named to look
 * in, it comes before the path itself: that may be where the data once was. The folder named may also be the data, under its
 * old name or, where a whole path was to be found, under a new one.
 */
function placesOf(path: string, dataDir?: string): string[] {
  const below = resolve(dataRoot(dataDir), isAbsolute(path) ? basename(path) : path);
  if (dataDir === undefined) return isAbsolute(path) ? [path] : [resolve(path), below];
  const root = resolve(dataDir);
  const itself = basename(root) === basename(path) ? [root] : [];
  return [below, ...itself, resolve(path), ...(isAbsolute(path) && isData(root) ? [root] : [])];
}

/** Whether a folder that is not called as the data was may be it nevertheless: it has folders with something in them. */
function isData(folder: string): boolean {
  if (!isFolder(folder)) return false;
  const { folders } = contentOf(folder, new LeftOut());
  const filled = folders.filter((name) => contentOf(join(folder, name), new LeftOut()).files.length > 0);
  return (
    filled.length > 0 ||
    DATASETS.some((name) => holds(folder, name)) ||
    folders.some((name) => partOf(name) === "train")
  );
}

/**
 * Where a data set is: of one known by name, the folder DIR/name or DIR itself, where DIR is `dataDir`, else
 * BAYESCNN_DATA, else ./data; of a folder of images or a table, its path. If that has moved, `dataDir` is the folder it is
 * in now, or itself.
 * @returns an absolute path; undefined when there is nothing in any of these places
 */
export function findData(name: string, dataDir?: string): string | undefined {
  if (isDatasetName(name)) return foldersOf(name, dataDir).find((folder) => holds(folder, name));
  return placesOf(name, dataDir).find((path) => isFolder(path) || isFile(path));
}

/** Whether the folder has one of the set's files; a set that is there in part is the reader's to complain about. */
function holds(folder: string, name: DatasetName): boolean {
  const files = name === "cifar-10" || name === "cifar-100" ? CIFAR_FILES[name] : Object.values(MNIST_FILES);
  return files.some((file) => findFile(folder, file) !== undefined || isFile(join(folder, `${file}.xz`)));
}

const embedded = (): string => join(packageRoot(), "data/mnist");

/** The MNIST subset that comes with the package, 6,000 training and 1,000 test images, named "mnist-6k". */
export function embeddedMnist(): TrainTest {
  return loadMnist(embedded(), "mnist-6k");
}

/**
 * Loads a data set: by name, or from the path of
 *
 * - a folder of images (see {@link loadImageFolders}), or of the four IDX files of MNIST or the binary files of CIFAR
 * - a table of images with their classes or numbers (see {@link loadTable})
 *
 * "mnist" falls back to the embedded subset, named "mnist-6k", when no folder was asked for and none was found.
 * @param name "mnist", "fashion-mnist", "cifar-10", "cifar-100", or a path
 * @param dataDir where to look; for a path, the folder that the data is in now if it has moved, or the data itself
 * @param options how images are read, and whether when they are needed ({@link StreamOptions}); the sets known by name have
 *   their own size, fit into memory and ignore them
 * @throws BayesError that says where it looked and how to get the data
 */
export async function loadData(name: DatasetName, dataDir?: string, options?: ReadOptions): Promise<TrainTest>;
export async function loadData(name: string, dataDir?: string, options?: ReadOptions): Promise<TrainTest<Dataset>>;
export async function loadData(
  name: string,
  dataDir: string | undefined,
  options: StreamOptions,
): Promise<TrainTest<AnyDataset>>;
export async function loadData(
  name: string,
  dataDir?: string,
  options: ReadOptions = {},
): Promise<TrainTest<AnyDataset>> {
  if (typeof name !== "string" || name === "" || name.length > 4096)
    fail("data", "the name of a data set, or a folder of images", name);
  if (Object.prototype.toString.call(dataDir) === "[object Object]")
    fail(
      "data folder",
      "the path of a folder; options are the third argument: loadData(name, undefined, options)",
      dataDir,
    );
  checkOptions("data", options, STREAM_OPTIONS);
  const found = findData(name, dataDir);
  if (isDatasetName(name)) {
    if (found !== undefined) return loadKnown(name, found);
    if (name === "mnist" && dataDir === undefined) return embeddedMnist();
    throw new BayesError(
      `[data] expected ${name} in one of ${foldersOf(name, dataDir).join(", ")}, received nothing there; ` +
        `\`bayescnn data get ${name}\` fetches it, --data-dir or BAYESCNN_DATA says where it is`,
      { code: "ERR_BAYES_FILE" },
    );
  }
  if (found === undefined)
    throw new BayesError(
      `[data] expected one of ${DATASETS.join(", ")}, a folder of images or a table, received ${JSON.stringify(name)}, ` +
        `which is nothing at ${placesOf(name, dataDir).join(" or ")}; --data-dir says where the data is`,
      { code: "ERR_BAYES_FILE" },
    );
  if (isFile(found)) {
    if (/\.(zip|tar|t?gz|bz2|xz|7z|rar)$/i.test(found))
      fail(found, "a folder or a table", words("an archive; unpack it first"), "ERR_BAYES_FILE");
    const format = formatOf(headOf(found, HEAD_BYTES));
    if (format !== undefined)
      fail(found, "a folder of images or a table", words(`one file of ${format}`), "ERR_BAYES_FILE");
    return loadTable(found, options);
  }
  const known = DATASETS.filter((set) => holds(found, set));
  if (known.length === 0) return loadImageFolders(found, options);
  // MNIST's and Fashion-MNIST's files have the same names, so the folder's name tells.
  return loadKnown(known.find((set) => set === basename(found)) ?? known[0], found, basename(found));
}

function loadKnown(name: DatasetName, folder: string, called: string = name): TrainTest {
  if (name === "cifar-10") return loadCifar10(folder);
  if (name === "cifar-100") return loadCifar100(folder);
  // In the package's own root ./data is the subset: it must not pass for the whole set.
  return folder === embedded() ? embeddedMnist() : loadMnist(folder, called);
}

function isFile(path: string): boolean {
  return statOf(path)?.isFile() ?? false;
}

function isFolder(path: string): boolean {
  return statOf(path)?.isDirectory() ?? false;
}
