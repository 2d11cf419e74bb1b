import { closeSync, readSync } from "node:fs";
import { fileError } from "./atomic.ts";
import { failFile, words } from "./errors.ts";
import { openRegular } from "./regular.ts";

/** Node reads at most 2 GiB at a time. */
const PIECE = 1 << 30;

/** A regular file, opened to be read in parts; it stays what it is when another one gets its name. */
export class ReadFile implements Disposable {
  readonly path: string;
  readonly size: number;
  readonly #fd: number;

  /** @throws BayesError where there is no regular file, or it may not be read: a pipe or a device might never end */
  constructor(path: string) {
    this.path = path;
    const { fd, stat } = openRegular(path);
    this.size = stat.size;
    this.#fd = fd;
  }

  /**
   * Fills `bytes`, of any length, from a position.
   * @throws BayesError where the file ends before
   */
  fill(bytes: Uint8Array, position: number): void {
    for (let at = 0; at < bytes.byteLength; ) {
      const got = this.readSome(bytes.subarray(at), position + at);
      if (got === 0) failFile(this.path, `a file of ${this.size} bytes, as it was`, words("a shorter one"));
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
