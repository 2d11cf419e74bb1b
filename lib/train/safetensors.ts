/**
 * The safetensors format (https://huggingface.co/docs/safetensors): a u64 length, a JSON header with the dtype, shape
 * and byte range of each tensor, then the bytes, little-endian. Small enough to own, readable by every other framework.
 */
import { readFileSync } from "node:fs";
import { types } from "node:util";
import { BayesError, checkPath, fail, failFile } from "../errors.ts";
import { type ArrayKind, checkArray } from "../util/arrays.ts";
import { fileError, writeFileAtomic } from "../util/atomic.ts";

/** A tensor of a file; the length of `data` is the product of `shape`. */
export type SafeTensor =
  | { readonly dtype: "F32"; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: "F64"; readonly shape: readonly number[]; readonly data: Float64Array }
  | { readonly dtype: "I32"; readonly shape: readonly number[]; readonly data: Int32Array }
  | { readonly dtype: "I64"; readonly shape: readonly number[]; readonly data: BigInt64Array }
  | { readonly dtype: "U8"; readonly shape: readonly number[]; readonly data: Uint8Array }
  | { readonly dtype: "U32"; readonly shape: readonly number[]; readonly data: Uint32Array };

export type SafeDtype = SafeTensor["dtype"];

export interface SafeTensors {
  readonly tensors: Map<string, SafeTensor>;
  /** The file's `__metadata__`. */
  readonly metadata: Record<string, string>;
}

const KINDS = {
  F32: "Float32Array",
  F64: "Float64Array",
  I32: "Int32Array",
  I64: "BigInt64Array",
  U8: "Uint8Array",
  U32: "Uint32Array",
} as const satisfies Record<SafeDtype, ArrayKind>;
const ARRAYS = {
  F32: Float32Array,
  F64: Float64Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
  U32: Uint32Array,
} as const;

const METADATA = "__metadata__";
const MAX_HEADER = 100_000_000; // the limit of the reference implementation

/** Product of a checked shape, or undefined where it is not an exact integer. */
function elements(shape: readonly number[]): number | undefined {
  let size = 1;
  for (const dim of shape) {
    size *= dim;
    if (!Number.isSafeInteger(size)) return undefined;
  }
  return size;
}

function isShape(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((dim) => Number.isSafeInteger(dim) && dim >= 0 && !Object.is(dim, -0));
}

function checkTensor(name: string, tensor: SafeTensor): void {
  if (typeof name !== "string") fail("safetensors", "the names of tensors as texts", name);
  if (name === METADATA) fail("safetensors", `a tensor name other than ${METADATA}`, name);
  const where = `safetensors ${name.slice(0, 80)}`;
  if (typeof tensor !== "object" || tensor === null) fail(where, "a tensor of dtype, shape and data", tensor);
  const { dtype, shape, data } = tensor;
  if (!Object.hasOwn(KINDS, dtype)) fail(where, `dtype to be one of ${Object.keys(KINDS).join(", ")}`, dtype);
  checkArray(where, `data of ${dtype}`, data, KINDS[dtype]);
  if (!isShape(shape)) fail(where, "a shape of integers >= 0", shape);
  if (elements(shape) !== data.length) fail(where, `data for shape [${shape.join(", ")}]`, data);
}

/** The pieces of a file, in order; the tensors' own memory is not copied. */
function encodePieces(
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array[] {
  if (!types.isMap(tensors)) fail("safetensors", "a Map of tensors by name", tensors);
  // Wide elements first (otherwise in the order given): each tensor is then aligned to its element size.
  const width = (tensor: SafeTensor) => tensor.data.BYTES_PER_ELEMENT;
  for (const [name, tensor] of tensors) checkTensor(name, tensor);
  const order = [...tensors].sort(([, a], [, b]) => width(b) - width(a));
  // Text by hand, not JSON.stringify of one object: objects put keys such as "7" first.
  const fields: string[] = [];
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== "string") fail("safetensors", `metadata ${JSON.stringify(key)} to be a string`, value);
  }
  if (Object.keys(metadata).length > 0) fields.push(`${JSON.stringify(METADATA)}:${JSON.stringify(metadata)}`);
  let offset = 0;
  const pieces: Uint8Array[] = [];
  for (const [name, { dtype, shape, data }] of order) {
    const end = offset + data.byteLength;
    fields.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [offset, end] })}`);
    pieces.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    offset = end;
  }
  const text = new TextEncoder().encode(`{${fields.join(",")}}`);
  const padded = Math.ceil(text.length / 8) * 8;
  if (padded > MAX_HEADER) fail("safetensors", `a header of at most ${MAX_HEADER} bytes`, padded);
  const head = new Uint8Array(8 + padded).fill(0x20); // spaces
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(text, 8);
  return [head, ...pieces];
}

/**
 * The bytes of a safetensors file. The same input gives the same bytes.
 * @throws BayesError where data, dtype and shape do not fit together, or metadata is not text
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  return new Uint8Array(Buffer.concat(encodePieces(tensors, metadata)));
}

/** Writes a safetensors file, whole or not at all. Throws a {@link BayesError} where data, dtype and shape do not fit together. */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, SafeTensor>,
  metadata: Readonly<Record<string, string>> = {},
): void {
  writeFileAtomic(checkPath("safetensors", path), encodePieces(tensors, metadata));
}

/**
 * Reads a safetensors file.
 * @throws BayesError where it cannot be read, or is not valid
 */
export function readSafetensors(path: string): SafeTensors {
  checkPath("safetensors", path);
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    throw fileError(error, "read", path);
  }
  return decodeSafetensors(bytes, path);
}

/**
 * Takes a file apart, believing nothing: the header must be valid, without a name given twice, and the tensors must
 * cover the data exactly, without a hole, an overlap or a byte left over.
 *
 * @param bytes the file; aligned tensors are views of it, others are copies
 * @param where the file's name, for error messages
 * @returns tensors in the order of their bytes
 * @throws BayesError for anything that is not a valid file of the dtypes of {@link SafeTensor}
 */
export function decodeSafetensors(bytes: Uint8Array, where = "safetensors"): SafeTensors {
  if (bytes.length < 8)
    throw new BayesError(`[${where}] expected a safetensors file, received ${bytes.length} bytes`, {
      code: "ERR_BAYES_FILE",
    });
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  if (length > MAX_HEADER)
    failFile(where, `a safetensors file, whose first 8 bytes give a header of at most ${MAX_HEADER} bytes`, length);
  if (length > bytes.length - 8)
    failFile(where, `a header of ${length} bytes, as the first 8 say of a whole safetensors file`, bytes.length - 8);
  const header = parseHeader(bytes.subarray(8, 8 + length), where);
  const start = 8 + length;
  const dataLength = bytes.length - start;

  const entries: Entry[] = [];
  let metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(header)) {
    if (name === METADATA) metadata = checkMetadata(value, where);
    else entries.push(checkEntry(name, value, `${where}: ${JSON.stringify(name.slice(0, 80))}`));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);

  const tensors = new Map<string, SafeTensor>();
  let covered = 0;
  for (const { name, dtype, shape, begin, end } of entries) {
    const at = `${where}: ${JSON.stringify(name.slice(0, 80))}`;
    if (begin !== covered) failFile(at, `data_offsets to start at ${covered}, where the tensor before ends`, begin);
    if (end > dataLength) failFile(at, `a whole file: data_offsets within the file's ${dataLength} bytes of data`, end);
    covered = end;
    tensors.set(name, { dtype, shape, data: view(dtype, bytes, start + begin, end - begin) } as SafeTensor);
  }
  if (covered !== dataLength) failFile(where, `${covered} bytes of data, as the header says`, dataLength);
  return { tensors, metadata };
}

interface Entry {
  readonly name: string;
  readonly dtype: SafeDtype;
  readonly shape: number[];
  readonly begin: number;
  readonly end: number;
}

function parseHeader(bytes: Uint8Array, where: string): Record<string, unknown> {
  if (bytes[0] !== 0x7b) failFile(where, "a safetensors header that starts with {", bytes[0]);
  let text: string;
  let header: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (error) {
    throw new BayesError(`[${where}] the safetensors header is not valid JSON in UTF-8`, {
      code: "ERR_BAYES_FILE",
      cause: error,
    });
  }
  const twice = duplicateKey(text);
  if (twice !== undefined)
    throw new BayesError(`[${where}] ${twice.slice(0, 80)} stands twice in the header`, { code: "ERR_BAYES_FILE" });
  return header as Record<string, unknown>; // it starts with {, so it is an object
}

/** The first key (as written in quotes) that stands twice in one object of `json`, which must be valid. */
function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = []; // the keys of the objects around the current place
  for (let i = 0; i < json.length; i++) {
    const char = json[i];
    if (char === "{") open.push(new Set());
    else if (char === "}") open.pop();
    else if (char === '"') {
      const start = i++;
      for (; json[i] !== '"'; i++) if (json[i] === "\\") i++;
      let next = i + 1;
      while (next < json.length && " \t\r\n".includes(json[next])) next++;
      if (json[next] !== ":") continue;
      const key: string = JSON.parse(json.slice(start, i + 1));
      const keys = open[open.length - 1];
      if (keys.has(key)) return JSON.stringify(key);
      keys.add(key);
    }
  }
  return undefined;
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

function view(dtype: SafeDtype, bytes: Uint8Array, begin: number, length: number): SafeTensor["data"] {
  const array = ARRAYS[dtype];
  const at = bytes.byteOffset + begin;
  const size = length / array.BYTES_PER_ELEMENT;
  if (at % array.BYTES_PER_ELEMENT === 0) return new array(bytes.buffer as ArrayBuffer, at, size);
  return new array(new Uint8Array(bytes.subarray(begin, begin + length)).buffer, 0, size); // a Buffer.slice is no copy
}
