/** Reading files that others have made: nothing but a regular file is opened, and nothing is read that is too large. */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { BayesError, failFile } from "../errors.ts";
import { fileError } from "./atomic.ts";
import { kindOf } from "./target.ts";

/** Node reads at most 2 GiB at a time. */
const PIECE = 1 << 30;

/** A regular file, opened to be read; it stays what it is when another one gets its name. */
export class ReadFile implements Disposable {
  readonly path: string;
  readonly size: number;
  readonly #fd: number;

  /** @throws BayesError where there is no regular file, or it may not be read: a pipe or a device might never end */
  constructor(path: string) {
    this.path = path;
    let fd = -1;
    try {
      checkRegular(path, statSync(path));
      fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a pipe put there meanwhile does not hang
      const stat = fstatSync(fd);
      checkRegular(path, stat);
      this.size = stat.size;
      this.#fd = fd;
    } catch (error) {
      if (fd >= 0) closeSync(fd);
      throw fileError(error, "read", path);
    }
  }

  /**
   * Fills `bytes`, of any length, from a position.
   * @throws BayesError where the file ends before
   */
  fill(bytes: Uint8Array, position: number): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const got = this.readSome(bytes.subarray(at), position + at);
      if (got === 0) failFile(this.path, `a file of ${this.size} bytes, as it was`, "a shorter one");
      at += got;
    }
  }

  /** Reads up to so many bytes as `bytes` has. @returns how many; 0 at the end */
  readSome(bytes: Uint8Array, position: number): number {
    try {
      return readSync(this.#fd, bytes, 0, Math.min(bytes.byteLength, PIECE), position);
    } catch (error) {
      throw fileError(error, "read", this.path);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function checkRegular(path: string, stat: Stats): void {
  if (stat.isDirectory()) throw Object.assign(new Error("directory"), { code: "EISDIR" });
  if (!stat.isFile())
    throw new BayesError(`[read] expected a file, received ${path}, which is ${kindOf(stat)}`, {
      code: "ERR_BAYES_FILE",
    });
}

/**
 * A whole file of at most `most` bytes.
 * @throws BayesError where it is no regular file, too large, or cannot be read
 */
export function readWhole(path: string, most: number): Uint8Array<ArrayBuffer> {
  using file = new ReadFile(path);
  if (file.size > most) failFile(path, `a file of at most ${most} bytes`, file.size);
  const bytes = new Uint8Array(file.size);
  file.fill(bytes, 0);
  return bytes;
}
