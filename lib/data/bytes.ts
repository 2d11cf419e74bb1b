import { readFileSync, type Stats, statSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { BayesError, failFile as fail, words } from "../errors.ts";
import { fileError } from "../util/atomic.ts";

/** No data file we read is allowed to be larger than this, packed or unpacked (2 GiB - 1). */
export const MAX_BYTES = 0x7fffffff;

/** Deflate cannot pack more tightly than this, so a small file that promises more is lying (zlib's documented limit). */
const DEFLATE_LIMIT = 1032;

/** What is at a path; undefined where there is nothing to be seen, for whatever reason. */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // below a file, a circle of links, a name too long: nothing is there
  }
}

/** The whole file, or one sentence about why not. A pipe or a device is never opened: it might never end. */
export function readBytes(path: string): Uint8Array {
  try {
    const stat = statSync(path);
    if (!stat.isFile() && !stat.isDirectory()) fail(path, "a file", words("a pipe, socket or device"));
    const { size } = stat;
    if (size > MAX_BYTES) fail(path, `a file of at most ${MAX_BYTES} bytes`, size);
    return readFileSync(path);
  } catch (error) {
    throw fileError(error, "read", path);
  }
}

/** Packed or not is told by the first two bytes, never by the name. */
export function isGzip(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/**
 * Unpacks gzip, and gives up as soon as more than `limit` bytes come out, so a decompression bomb costs at most `limit`.
 * @throws BayesError for damaged or truncated input, or too much output
 */
export function gunzip(bytes: Uint8Array, limit: number, where: string): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: Math.max(1, Math.min(limit, MAX_BYTES)) });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ERR_BUFFER_TOO_LARGE") fail(where, `gzip data that unpacks to at most ${limit} bytes`, words("more"));
    throw new BayesError(
      `[${where}] expected whole gzip data, received damaged or truncated data (${(error as Error).message})`,
      { code: "ERR_BAYES_FILE" },
    );
  }
}

/**
 * The first bytes of a gzip stream, at least `want` of them if there are so many. Only the first 4 KiB of the input are
 * unpacked (they hold far more than any header we look for), so this too costs little on hostile input.
 */
export function gunzipHead(bytes: Uint8Array, want: number, where: string): Uint8Array {
  const head = bytes.subarray(0, 4096);
  try {
    const flush = 2; // Z_SYNC_FLUSH: give what there is instead of complaining that the stream is cut
    return gunzipSync(head, { finishFlush: flush, maxOutputLength: head.length * DEFLATE_LIMIT }).subarray(0, want);
  } catch (error) {
    throw new BayesError(`[${where}] expected gzip data, received damaged data (${(error as Error).message})`, {
      code: "ERR_BAYES_FILE",
    });
  }
}

/** Whether `packed` bytes of gzip can possibly hold `unpacked` bytes. */
export function gzipCanHold(packed: number, unpacked: number): boolean {
  return unpacked <= packed * DEFLATE_LIMIT;
}

/** Path of `name` or `name.gz` in a folder, whichever is there; undefined if neither is. */
export function findFile(dir: string, name: string): string | undefined {
  return [join(dir, name), join(dir, `${name}.gz`)].find((path) => statOf(path)?.isFile());
}

/** Non-empty lines of a small text file, trimmed; undefined when the file is not there. */
export function readNames(dir: string, name: string, count: number): string[] | undefined {
  const path = findFile(dir, name);
  if (path === undefined) return undefined;
  const bytes = readBytes(path);
  if (bytes.length > 1 << 20) fail(path, `a short text file of ${count} names`, words(`${bytes.length} bytes`));
  const lines = new TextDecoder().decode(bytes).split("\n");
  const names = lines.map((line) => line.trim()).filter((line) => line !== "");
  if (names.length !== count) fail(path, `${count} names, one a line`, names.length);
  return names;
}
