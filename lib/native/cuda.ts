import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { show } from "../util/errors.ts";
import { packageRoot } from "../util/package.ts";

/** Where the CUDA library is. */
export interface Found {
  readonly path: string;
  /** That it is not there, as a phrase. */
  readonly missing?: string;
  /** Whether somebody expects one: it is there, or the environment names it. */
  readonly wanted: boolean;
}

const PLACES = ["prebuilds-cuda/linux-x64/libbayescnn-cuda.so", "build-cuda/libbayescnn-cuda.so"];

/** The CUDA library: that of the environment variable BAYESCNN_CUDA, else one in the package, prebuilt or built. */
export function cudaLibrary(): Found {
  const named = process.env.BAYESCNN_CUDA;
  if (named) {
    const path = resolve(named);
    if (existsSync(path)) return { path, wanted: true };
    return {
      path,
      wanted: true,
      missing: `expected the CUDA library that BAYESCNN_CUDA names, received no file ${show(path)}`,
    };
  }
  const paths = process.platform === "linux" && process.arch === "x64" ? PLACES.map((p) => join(packageRoot(), p)) : [];
  const path = paths.find((p) => existsSync(p));
  if (path !== undefined) return { path, wanted: true };
  return {
    path: "",
    wanted: false,
    missing:
      paths.length > 0
        ? "expected a CUDA library, received none: run `npm run build:cuda` in a clone (needs nvcc), or name one in BAYESCNN_CUDA"
        : `expected a CUDA library, received none: there is one for linux-x64 alone, and this is ${process.platform}-${process.arch}`,
  };
}

/**
 * Whether the end of a library is missing, as an interrupted copy leaves it: the loader would not notice, and the process
 * die of it. An ELF file ends with its table of sections.
 */
export function isCutOff(path: string): boolean {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return false; // the loader says what it is
  const head = Buffer.alloc(64);
  const file = openSync(path, "r");
  try {
    if (readSync(file, head, 0, 64, 0) < 64 || head.toString("latin1", 0, 4) !== "\x7fELF") return false;
  } finally {
    closeSync(file);
  }
  const sections = head.readUInt16LE(0x3a) * head.readUInt16LE(0x3c); // bytes of one, and how many
  return Number(head.readBigUInt64LE(0x28)) + sections > statSync(path).size;
}
