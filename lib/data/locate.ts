import { statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { BayesError, checkPath, show } from "../errors.ts";
import { packageRoot } from "../util/package.ts";
import { findFile } from "./bytes.ts";
import { CIFAR_FILES, loadCifar10, loadCifar100 } from "./cifar.ts";
import type { TrainTest } from "./dataset.ts";
import { type FolderOptions, loadImageFolders } from "./folder.ts";
import { loadMnist, MNIST_FILES } from "./mnist.ts";

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
  return resolve(dataDir ?? (process.env.BAYESCNN_DATA || "data"));
}

/** Folders in which `findData` looks, in order. */
function candidates(name: DatasetName, dataDir?: string): string[] {
  const root = dataRoot(dataDir);
  const below = ARCHIVE_FOLDER[name];
  const folders = [join(root, name)];
  // MNIST and Fashion-MNIST share their file names: a folder called by the other's name is not what was asked for.
  if (basename(root) === name || !isDatasetName(basename(root))) folders.push(root);
  return below === undefined ? folders : folders.flatMap((folder) => [folder, join(folder, below)]);
}

/**
 * The folder that holds a data set: DIR/name or DIR itself, where DIR is `dataDir`, else BAYESCNN_DATA, else ./data.
 * @returns undefined when the data set's files are in none of them
 */
export function findData(name: DatasetName, dataDir?: string): string | undefined {
  return candidates(name, dataDir).find((folder) => holds(folder, name));
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
 * Loads a data set by name, or a tree of images by its path.
 *
 * "mnist" falls back to the embedded subset, named "mnist-6k", when no folder was asked for and none was found.
 * @param name "mnist", "fashion-mnist", "cifar-10", "cifar-100", or a folder of images (see {@link loadImageFolders})
 * @param dataDir where to look; see `findData`
 * @throws BayesError that says where it looked and how to get the data
 */
export async function loadData(name: string, dataDir?: string, options: FolderOptions = {}): Promise<TrainTest> {
  checkPath("data", name, "folder of images, or the name of a data set");
  if (dataDir !== undefined) checkPath("data", dataDir, "folder");
  if (!isDatasetName(name)) {
    const folder = [name, join(dataRoot(dataDir), name)].find(isFolder);
    if (folder !== undefined) return loadImageFolders(folder, options);
    throw new BayesError(
      `[data] expected one of ${DATASETS.join(", ")} or a folder of images, received ${show(name)}, ` +
        `which is no folder here or in ${dataRoot(dataDir)}`,
    );
  }
  const folder = findData(name, dataDir);
  if (folder === undefined) {
    if (name === "mnist" && dataDir === undefined) return embeddedMnist();
    throw new BayesError(
      `[data] expected ${name} in one of ${candidates(name, dataDir).join(", ")}, received nothing there; ` +
        `\`bayescnn data get ${name}\` fetches it, --data-dir or BAYESCNN_DATA says where it is`,
    );
  }
  if (name === "cifar-10") return loadCifar10(folder);
  if (name === "cifar-100") return loadCifar100(folder);
  // In the package's own root ./data is the subset: it must not pass for the whole set.
  return folder === embedded() ? embeddedMnist() : loadMnist(folder, name);
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
