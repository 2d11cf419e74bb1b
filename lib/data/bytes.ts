import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { BayesError, failFile as fail, words } from "../util/errors.ts";
import { MAX_BYTES, readRegular, statOf } from "../util/regular.ts";

/** Deflate cannot pack more tightly than this, so a small file that promises more is lying (zlib's documented limit). */
const DEFLATE_LIMIT = 1032;

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
  const most = 1 << 20;
  const bytes = readRegular(path, { most, what: `a text file of ${count} names` });
  const lines = new TextDecoder().decode(isGzip(bytes) ? gunzip(bytes, most, path) : bytes).split("\n");
  const names = lines.map((line) => line.trim()).filter((line) => line !== "");
  if (names.length !== count) fail(path, `${count} names, one a line`, names.length);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) fail(path, "names that differ, for classes are told by name", twice);
  return names;
}
