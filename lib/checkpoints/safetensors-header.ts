/** The header of a safetensors file, of which nothing is believed. */
import type { ArrayKind } from "../util/arrays.ts";
import { BayesError, failFile, words } from "../util/errors.ts";
import { parseJson } from "../util/json.ts";

/** The array that holds the elements of a dtype; of the two half floats it holds their bits. */
export const KINDS = {
  F32: "Float32Array",
  F64: "Float64Array",
  I32: "Int32Array",
  I64: "BigInt64Array",
  U8: "Uint8Array",
  U32: "Uint32Array",
  F16: "Uint16Array",
  BF16: "Uint16Array",
} as const satisfies Record<string, ArrayKind>;
export const ARRAYS = {
  F32: Float32Array,
  F64: Float64Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
  U32: Uint32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
} as const;
export type SafeDtype = keyof typeof KINDS;

export const METADATA = "__metadata__";
export const MAX_HEADER = 100_000_000; // the limit of the reference implementation

/** A tensor of a file, and where its bytes are in the file's data. */
export interface Entry {
  readonly name: string;
  readonly dtype: SafeDtype;
  readonly shape: number[];
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  /** In the order of their bytes, which they cover without a hole. */
  readonly entries: readonly Entry[];
  readonly metadata: Record<string, string>;
}

/** Product of a checked shape, or undefined where it is not an exact integer. */
export function elements(shape: readonly number[]): number | undefined {
  let size = 1;
  for (const dim of shape) {
    size *= dim;
    if (!Number.isSafeInteger(size)) return undefined;
  }
  return size;
}

export function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((dim) => Number.isSafeInteger(dim) && dim >= 0 && !Object.is(dim, -0));
}

/**
 * The length of the header, from a file's first 8 bytes.
 * @param size the file's size in bytes
 */
export function headerLength(first: Uint8Array, size: number, where: string): number {
  if (size < 8)
    throw new BayesError(`[${where}] expected a safetensors file, received ${size} bytes`, { code: "ERR_BAYES_FILE" });
  const length = Number(new DataView(first.buffer, first.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER)
    failFile(where, `a safetensors file, whose first 8 bytes give a header of at most ${MAX_HEADER} bytes`, length);
  if (length > size - 8)
    failFile(where, `a header of ${length} bytes, as the first 8 say of a whole safetensors file`, size - 8);
  return length;
}

/**
 * Takes a header apart: it must be valid, without a name given twice, and the tensors must cover the data exactly, without a
 * hole, an overlap or a byte left over.
 * @param dataLength bytes of the file behind the header
 */
export function parseHeader(bytes: Uint8Array, dataLength: number, where: string): Header {
  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(objectOf(bytes, where))) {
    if (name === METADATA) metadata = checkMetadata(value, where);
    else entries.push(checkEntry(name, value, `${where}: ${JSON.stringify(name.slice(0, 80))}`));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of entries) {
    const at = `${where}: ${JSON.stringify(name.slice(0, 80))}`;
    if (begin !== covered) failFile(at, `data_offsets to start at ${covered}, where the tensor before ends`, begin);
    if (end > dataLength) failFile(at, `a whole file: data_offsets within the file's ${dataLength} bytes of data`, end);
    covered = end;
  }
  if (covered !== dataLength) failFile(where, `${covered} bytes of data, as the header says`, dataLength);
  return { entries, metadata };
}

function objectOf(bytes: Uint8Array, where: string): Record<string, unknown> {
  if (bytes[0] !== 0x7b) failFile(where, "a safetensors header that starts with {", bytes[0]);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return failFile(where, "a safetensors header in UTF-8", words("other bytes"));
  }
  // it starts with {, so it is an object; a tensor may be called __proto__
  return parseJson(where, text, { what: "a safetensors header that is JSON", proto: true }) as Record<string, unknown>;
}

function checkMetadata(value: unknown, where: string): Record<string, string> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    failFile(where, `${METADATA} to be an object of strings`, value);
  }
  for (const text of Object.values(value)) {
    if (typeof text !== "string") failFile(where, `every value of ${METADATA} to be a string`, text);
  }
  return value as Record<string, string>;
}

function checkEntry(name: string, value: unknown, at: string): Entry {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    failFile(at, "an object with dtype, shape and data_offsets", value);
  }
  const { dtype, shape, data_offsets: offsets, ...others } = value as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(ARRAYS, dtype)) {
    failFile(at, `dtype to be one of ${Object.keys(ARRAYS).join(", ")}`, dtype);
  }
  if (!isShape(shape)) failFile(at, "shape to be a list of integers >= 0", shape);
  if (!isShape(offsets) || offsets.length !== 2) failFile(at, "data_offsets to be two integers >= 0", offsets);
  for (const key of Object.keys(others)) failFile(at, "no field but dtype, shape and data_offsets", key);
  const size = elements(shape);
  const [begin, end] = offsets;
  if (size === undefined) failFile(at, "a shape whose product is an exact integer", shape);
  const byteSize = size * ARRAYS[dtype as SafeDtype].BYTES_PER_ELEMENT;
  if (end - begin !== byteSize) {
    failFile(at, `data_offsets ${byteSize} bytes apart for ${dtype} [${shape.join(", ")}]`, offsets);
  }
  return { name, dtype: dtype as SafeDtype, shape, begin, end };
}
