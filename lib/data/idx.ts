import { checkPath, failFile as fail, words } from "../util/errors.ts";
import { checkMemory } from "../util/memory.ts";
import { MAX_BYTES, readRegular } from "../util/regular.ts";
import { gunzip, gunzipHead, gzipCanHold, isGzip } from "./bytes.ts";

/** An array of unsigned bytes as an IDX file holds it. */
export interface IdxArray {
  /** sizes, outermost first; each at least 1 */
  readonly dims: readonly number[];
  /** product(dims) bytes, last dimension fastest */
  readonly data: Uint8Array;
}

/** Longest header we take: two zero bytes, type, rank, and four sizes. */
const MAX_RANK = 4;

/**
 * Reads an IDX file of unsigned bytes, gzip'ed or not (told by its content).
 * @throws BayesError for a missing file and as `parseIdx`
 */
export function readIdx(path: string): IdxArray {
  return parseIdx(readRegular(checkPath("readIdx", path)), path);
}

/**
 * Parses the IDX format: two zero bytes, a type byte (8 = unsigned byte), the number of dimensions, each dimension as a
 * big-endian 32-bit integer, then the values. Nothing is allocated that the input's own length does not warrant.
 *
 * @param bytes the file's content, gzip'ed or not
 * @param where name of the file, for messages
 * @throws BayesError for a wrong magic number or type, zero or huge dimensions, missing or trailing bytes, damaged gzip
 */
export function parseIdx(bytes: Uint8Array, where: string): IdxArray {
  if (!isGzip(bytes)) {
    const header = parseHeader(bytes, where);
    return { dims: header.dims, data: body(bytes, header, where) };
  }
  const header = parseHeader(gunzipHead(bytes, 4 + 4 * MAX_RANK, where), where);
  const total = header.offset + header.size;
  if (!gzipCanHold(bytes.length, total)) fail(where, `the ${total} bytes that its header declares`, words("far fewer"));
  checkMemory(where, total);
  // One byte more than declared is let through, so that trailing bytes are seen.
  return { dims: header.dims, data: body(gunzip(bytes, total + 1, where), header, where) };
}

interface Header {
  readonly dims: readonly number[];
  /** where the values start */
  readonly offset: number;
  /** how many values there are */
  readonly size: number;
}

function parseHeader(bytes: Uint8Array, where: string): Header {
  if (bytes.length < 4) fail(where, "an IDX file of at least 4 bytes", words(`${bytes.length} bytes`));
  const magic = [...bytes.subarray(0, 4)].map((b) => b.toString(16).padStart(2, "0")).join("");
  if (bytes[0] !== 0 || bytes[1] !== 0)
    fail(where, "an IDX file, which starts with two zero bytes", words(`0x${magic}`));
  if (bytes[2] !== 8) fail(where, "IDX values of type 8 (unsigned byte)", words(`type ${bytes[2]} in 0x${magic}`));
  const rank = bytes[3];
  if (rank < 1 || rank > MAX_RANK)
    fail(where, `an IDX array of 1 to ${MAX_RANK} dimensions`, words(`${rank} in 0x${magic}`));
  const offset = 4 + 4 * rank;
  if (bytes.length < offset) fail(where, `an IDX header of ${offset} bytes`, words(`${bytes.length} bytes`));
  const view = new DataView(bytes.buffer, bytes.byteOffset, offset);
  const dims = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i));
  if (dims.includes(0)) fail(where, "no dimension of size zero", dims);
  const size = dims.reduce((product, d) => product * d, 1);
  if (size > MAX_BYTES - offset)
    fail(where, `at most ${MAX_BYTES - offset} values`, words(`a header that declares ${dims.join(" x ")}`));
  return { dims, offset, size };
}

function body(bytes: Uint8Array, { dims, offset, size }: Header, where: string): Uint8Array {
  if (bytes.length === offset + size) return bytes.subarray(offset);
  const received = bytes.length > offset + size ? "trailing bytes after them" : `only ${bytes.length - offset}`;
  return fail(where, `${size} values (${dims.join(" x ")})`, words(received));
}
