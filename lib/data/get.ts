import { createHash } from "node:crypto";
import { createReadStream, existsSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { ensureDir, fileError, writeFileAtomic } from "../util/atomic.ts";
import { BayesError, checkInt, checkOptions, checkPath, fail } from "../util/errors.ts";
import { readRegular, statRegular } from "../util/regular.ts";
import { gunzip } from "./bytes.ts";
import { CIFAR_FILES } from "./cifar.ts";
import { type Checksum, download } from "./download.ts";
import { DATASETS, type DatasetName, dataRoot, isDatasetName } from "./locate.ts";
import { readTar } from "./tar.ts";

/** A file of a data set as its makers publish it. */
export interface RemoteFile {
  readonly name: string;
  readonly bytes: number;
  /** all of them are checked */
  readonly checksums: readonly Checksum[];
}

/** Where a data set comes from: plain files, or one archive of which some files are kept. */
export interface Source {
  /** folder of the files, ending in "/" */
  readonly url: string;
  readonly files: readonly RemoteFile[];
  /** names to take out of the one .tar.gz of `files`, whatever folder of the archive they are in */
  readonly unpack?: readonly string[];
}

function remote(name: string, bytes: number, sha256: string, md5: string): RemoteFile {
  return {
    name,
    bytes,
    checksums: [
      { algorithm: "sha256", hex: sha256 },
      { algorithm: "md5", hex: md5 },
    ],
  };
}

/** The official places, with sizes, SHA-256 and the MD5 sums that the makers publish. */
export const SOURCES: Readonly<Record<DatasetName, Source>> = {
  mnist: {
    url: "https://ossci-datasets.s3.amazonaws.com/mnist/",
    files: [
      remote(
        "train-images-idx3-ubyte.gz",
        9912422,
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
      ),
      remote(
        "train-labels-idx1-ubyte.gz",
        28881,
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "d53e105ee54ea40749a09fcbcd1e9432",
      ),
      remote(
        "t10k-images-idx3-ubyte.gz",
        1648877,
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "9fb629c4189551a2d022fa330f9573f3",
      ),
      remote(
        "t10k-labels-idx1-ubyte.gz",
        4542,
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        "ec29112dd5afa0611ce80d1b7f02629c",
      ),
    ],
  },
  "fashion-mnist": {
    url: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    files: [
      remote(
        "train-images-idx3-ubyte.gz",
        26421880,
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
      ),
      remote(
        "train-labels-idx1-ubyte.gz",
        29515,
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "25c81989df183df01b3e8a0aad5dffbe",
      ),
      remote(
        "t10k-images-idx3-ubyte.gz",
        4422102,
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "bef4ecab320f06d8554ea6380940ec79",
      ),
      remote(
        "t10k-labels-idx1-ubyte.gz",
        5148,
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "bb300cfdad3c16e7a12a480ee83cd310",
      ),
    ],
  },
  "cifar-10": {
    url: "https://www.cs.toronto.edu/~kriz/",
    files: [
      remote(
        "cifar-10-binary.tar.gz",
        170052171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        "c32a1d4ab5d03f1284b67883e8d87530",
      ),
    ],
    unpack: [...CIFAR_FILES["cifar-10"], "batches.meta.txt"],
  },
  "cifar-100": {
    url: "https://www.cs.toronto.edu/~kriz/",
    files: [
      remote(
        "cifar-100-binary.tar.gz",
        168513733,
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        "03b5dce01913d631647c71ecec9e9cb8",
      ),
    ],
    unpack: [...CIFAR_FILES["cifar-100"], "fine_label_names.txt", "coarse_label_names.txt"],
  },
};

export interface GetOptions {
  /** the data set goes to dataDir/name; default: BAYESCNN_DATA, else ./data */
  readonly dataDir?: string;
  /** another server's folder that has the same files (a mirror) */
  readonly url?: string;
  readonly onProgress?: (file: string, received: number, total: number | undefined) => unknown;
  /** tries for a connection that breaks (default 4) */
  readonly tries?: number;
  /** a connection is broken that is silent for so long (default 30,000 ms), or in that time slower than `leastRate` */
  readonly silenceMs?: number;
  /** bytes a second that a connection has to give (default 1000) */
  readonly leastRate?: number;
  /** where the data set comes from; default its entry in `SOURCES` */
  readonly source?: Source;
}

const GET_OPTIONS = {
  dataDir: "string",
  url: "string",
  onProgress: "function",
  tries: "number",
  silenceMs: "number",
  leastRate: "number",
  source: "object",
} as const;

/** Unpacked archives are at most this large (the official ones have 184 MB). */
const MAX_UNPACKED = 400e6;

/**
 * Fetches a data set and checks it. Files that are there already are checked and kept, broken downloads go on where they
 * stopped, and nothing has its final name before it is whole and right. A connection that gives less than `leastRate` (1000
 * bytes a second) over `silenceMs` (30 s) is broken. Proxies are as Node's `fetch` has them (NODE_USE_ENV_PROXY, from Node 24 on).
 * @returns the folder, ready for loadData(name, dataDir)
 * @throws BayesError for an unknown name, an HTTP error, a wrong checksum, or another file of that name in the way
 */
export async function getData(name: string, options: GetOptions = {}): Promise<string> {
  if (!isDatasetName(name)) return fail("data get", `one of ${DATASETS.join(", ")}`, name);
  checkOptions<GetOptions>("data get", options, GET_OPTIONS);
  if (options.dataDir !== undefined) checkPath("data get", options.dataDir, "folder");
  const source = checkSource(options.source ?? SOURCES[name]);
  const { tries, silenceMs, leastRate } = options;
  const folder = join(dataRoot(options.dataDir), name);
  ensureDir(folder);
  const unpacked = () => source.unpack?.every((file) => existsSync(join(folder, file))) === true;
  if (unpacked()) return folder;
  const base = (options.url ?? source.url).replace(/\/*$/, "/");
  const get = async (file: RemoteFile): Promise<void> => {
    const path = join(folder, file.name);
    if (existsSync(path)) {
      await checkExisting(path, file);
    } else {
      const onProgress = options.onProgress;
      await download(base + file.name, path, file.bytes, file.checksums, {
        tries,
        silenceMs,
        leastRate,
        onProgress: onProgress && ((received, total) => onProgress(file.name, received, total)),
      });
    }
    if (source.unpack) unpack(path, folder, source.unpack);
  };
  for (const file of source.files) {
    try {
      await get(file);
    } catch (error) {
      if (!unpacked()) throw error; // else another program was faster, and has removed the archive
    }
  }
  return folder;
}

/** Throws unless all names are those of files in one folder: none may lead out of it. Returns it. */
function checkSource(source: Source): Source {
  if (!Array.isArray(source.files)) fail("data get", "source.files as a list", source.files);
  for (const { name, bytes, checksums } of source.files) {
    checkName(name);
    checkInt("data get", `the bytes of ${name}`, bytes, 0);
    const known = Array.isArray(checksums) && checksums.every((sum) => ["sha256", "md5"].includes(sum?.algorithm));
    if (!known) fail("data get", `the checksums of ${name} as a list of sha256 and md5`, checksums);
  }
  source.unpack?.forEach(checkName);
  return source;
}

function checkName(name: string): void {
  checkPath("data get", name);
  if (basename(name) !== name || name.includes("\\") || name === "." || name === "..")
    fail("data get", "the name of a file, without a folder", name);
}

/** Hash of a file's content in hex, read as a stream. */
async function fileHash(path: string, algorithm: Checksum["algorithm"]): Promise<string> {
  const hash = createHash(algorithm);
  try {
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  } catch (error) {
    throw fileError(error, "read", path);
  }
  return hash.digest("hex");
}

async function checkExisting(path: string, file: RemoteFile): Promise<void> {
  const { size } = statRegular(path, `${file.name} as a file`);
  if (size !== file.bytes)
    throw new BayesError(
      `[data get] expected ${path}, which is there already, to have ${file.bytes} bytes, received ${size}; ` +
        "remove it, or choose another folder with --data-dir",
      { code: "ERR_BAYES_FILE" },
    );
  for (const { algorithm, hex } of file.checksums) {
    const received = await fileHash(path, algorithm);
    if (received !== hex) {
      throw new BayesError(
        `[data get] expected ${path}, which is there already, to have ${algorithm} ${hex}, received ${received}; ` +
          "remove it, or choose another folder with --data-dir",
        { code: "ERR_BAYES_FILE" },
      );
    }
  }
}

/** Takes the wanted files out of a .tar.gz, each written whole or not at all, then removes the archive. */
function unpack(archive: string, folder: string, wanted: readonly string[]): void {
  const entries = readTar(gunzip(readRegular(archive), MAX_UNPACKED, archive), archive);
  const found = new Map(entries.map((entry) => [basename(entry.path), entry.data]));
  const missing = wanted.find((name) => !found.has(name));
  if (missing !== undefined) fail(archive, `the file ${missing} in the archive`, [...found.keys()], "ERR_BAYES_FILE");
  for (const name of wanted) writeFileAtomic(join(folder, name), found.get(name)!);
  rmSync(archive, { force: true });
}
