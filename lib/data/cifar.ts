import { existsSync } from "node:fs";
import { join } from "node:path";
import { BayesError, failFile as fail, words } from "../util/errors.ts";
import { readRegular } from "../util/regular.ts";
import { findFile, gunzip, isGzip, readNames } from "./bytes.ts";
import { type ClassDataset, makeDataset, type TrainTest } from "./dataset.ts";

const SIDE = 32;
const PLANE = SIDE * SIDE;
/** No official file has more records; it also bounds what a packed file may unpack to. */
const MAX_RECORDS = 50_000;

/** How a record of a CIFAR binary file starts: label bytes, and which of them is the class. Then 3 planes of 1024 bytes. */
interface Layout {
  readonly name: "cifar-10" | "cifar-100";
  readonly labelBytes: number;
  readonly labelAt: number;
  readonly classes: number;
  readonly namesFile: string;
  readonly trainFiles: readonly string[];
  readonly testFile: string;
}

const CIFAR10: Layout = {
  name: "cifar-10",
  labelBytes: 1,
  labelAt: 0,
  classes: 10,
  namesFile: "batches.meta.txt",
  trainFiles: [1, 2, 3, 4, 5].map((i) => `data_batch_${i}.bin`),
  testFile: "test_batch.bin",
};

const CIFAR100: Layout = {
  name: "cifar-100",
  labelBytes: 2, // coarse, fine
  labelAt: 1,
  classes: 100,
  namesFile: "fine_label_names.txt",
  trainFiles: ["train.bin"],
  testFile: "test.bin",
};

/** Files that make a folder a CIFAR-10 or CIFAR-100 folder, each also with ".gz". */
export const CIFAR_FILES = {
  "cifar-10": [...CIFAR10.trainFiles, CIFAR10.testFile],
  "cifar-100": [...CIFAR100.trainFiles, CIFAR100.testFile],
} as const;

/**
 * Reads CIFAR-10's binary version: data_batch_1.bin to data_batch_5.bin and test_batch.bin, each gzip'ed or not, and the
 * class names from batches.meta.txt if it is there. Images become [count, 32, 32, 3] bytes (the files hold planes).
 * @throws BayesError for a missing, damaged or truncated file
 */
export function loadCifar10(dir: string): TrainTest {
  return load(dir, CIFAR10);
}

/** Reads CIFAR-100's binary version, train.bin and test.bin, with the 100 fine labels. Otherwise as {@link loadCifar10}. */
export function loadCifar100(dir: string): TrainTest {
  return load(dir, CIFAR100);
}

/**
 * Parses one binary CIFAR file.
 * @param bytes content, gzip'ed or not
 * @param name which of the two layouts
 * @param where name of the file, for messages
 */
export function parseCifar(bytes: Uint8Array, name: "cifar-10" | "cifar-100", where: string): ClassDataset {
  const layout = name === "cifar-10" ? CIFAR10 : CIFAR100;
  return toDataset([unpack(bytes, layout, where)], layout, layout.classes, where);
}

function load(dir: string, layout: Layout): TrainTest {
  const classes = readNames(dir, layout.namesFile, layout.classes) ?? layout.classes;
  const read = (files: readonly string[]) => {
    const parts = files.map((file) => {
      const path = requireFile(dir, file);
      return unpack(readRegular(path), layout, path);
    });
    return toDataset(parts, layout, classes, layout.name);
  };
  return { train: read(layout.trainFiles), test: read([layout.testFile]) };
}

function unpack(bytes: Uint8Array, layout: Layout, where: string): Uint8Array {
  const record = layout.labelBytes + 3 * PLANE;
  const raw = isGzip(bytes) ? gunzip(bytes, MAX_RECORDS * record, where) : bytes;
  if (raw.length === 0 || raw.length % record !== 0) {
    fail(where, `a whole number of records of ${record} bytes`, words(`${raw.length} bytes`));
  }
  for (let at = layout.labelAt; at < raw.length; at += record) {
    if (raw[at] >= layout.classes) {
      const index = Math.floor(at / record);
      fail(where, `labels from 0 to ${layout.classes - 1}`, words(`${raw[at]} in record ${index}`));
    }
  }
  return raw;
}

/** Planes (R, G, B) to interleaved pixels. */
function toDataset(parts: Uint8Array[], layout: Layout, classes: string[] | number, name: string): ClassDataset {
  const record = layout.labelBytes + 3 * PLANE;
  const count = parts.reduce((sum, part) => sum + part.length / record, 0);
  const images = new Uint8Array(count * 3 * PLANE);
  const labels = new Int32Array(count);
  let n = 0;
  for (const part of parts) {
    for (let at = 0; at < part.length; at += record, n++) {
      labels[n] = part[at + layout.labelAt];
      const red = at + layout.labelBytes;
      const out = n * 3 * PLANE;
      for (let p = 0; p < PLANE; p++) {
        images[out + 3 * p] = part[red + p];
        images[out + 3 * p + 1] = part[red + PLANE + p];
        images[out + 3 * p + 2] = part[red + 2 * PLANE + p];
      }
    }
  }
  return makeDataset({ name, images, labels, shape: [SIDE, SIDE, 3], classes });
}

function requireFile(dir: string, name: string): string {
  const path = findFile(dir, name);
  if (path !== undefined) return path;
  if (existsSync(join(dir, `${name}.xz`))) {
    throw new BayesError(
      `[${dir}] expected ${name} or ${name}.gz, received ${name}.xz, which Node cannot read; ` +
        "unpack the files into a folder of your own with `xz -dk FILE.xz`",
      { code: "ERR_BAYES_FILE" },
    );
  }
  return fail(dir, `the file ${name} or ${name}.gz`, words("a folder without it"));
}
