/**
 * The safetensors format (https://huggingface.co/docs/safetensors): a u64 length, a JSON header with the dtype, shape
 * and byte range of each tensor, then the bytes, little-endian. Small enough to own, readable by every other framework.
 */
import { constants } from "node:buffer";
import { types } from "node:util";
import { checkArray } from "../util/arrays.ts";
import { writeFileAtomic } from "../util/atomic.ts";
import { BayesError, checkPath, fail, show } from "../util/errors.ts";
import { checkMemory } from "../util/memory.ts";
import { ReadFile } from "../util/read.ts";
import {
  ARRAYS,
  type Entry,
  elements,
  headerLength,
  isShape,
  KINDS,
  MAX_HEADER,
  METADATA,
  parseHeader,
  type SafeDtype,
} from "./safetensors-header.ts";

/** A tensor of a file; the length of `data` is the product of `shape`. */
export type SafeTensor =
  | { readonly dtype: "F32"; readonly shape: readonly number[]; readonly data: Float32Array }
  | { readonly dtype: "F64"; readonly shape: readonly number[]; readonly data: Float64Array }
  | { readonly dtype: "I32"; readonly shape: readonly number[]; readonly data: Int32Array }
  | { readonly dtype: "I64"; readonly shape: readonly number[]; readonly data: BigInt64Array }
  | { readonly dtype: "U8"; readonly shape: readonly number[]; readonly data: Uint8Array }
  | { readonly dtype: "U32"; readonly shape: readonly number[]; readonly data: Uint32Array }
  /** The bits of IEEE half floats, or of bfloat16. */
  | { readonly dtype: "F16" | "BF16"; readonly shape: readonly number[]; readonly data: Uint16Array };

export interface SafeTensors {
  readonly tensors: Map<string, SafeTensor>;
  /** The file's `__metadata__`. */
  readonly metadata: Record<string, string>;
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
  const pieces = encodePieces(tensors, metadata);
  const size = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (size > constants.MAX_LENGTH) fail("safetensors", `at most ${constants.MAX_LENGTH} bytes in one array`, size);
  return new Uint8Array(Buffer.concat(pieces));
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
 * Reads a safetensors file of any size.
 * @throws BayesError where it cannot be read, is not valid, or does not fit into memory
 */
export function readSafetensors(path: string): SafeTensors {
  using file = new SafetensorsFile(path);
  checkMemory(path, file.size, "a smaller file would fit");
  return { tensors: new Map(file.names.map((name) => [name, file.read(name)])), metadata: file.metadata };
}

/** An open safetensors file: its header has been read and checked, tensors are read when they are asked for. */
export class SafetensorsFile implements Disposable {
  readonly metadata: Record<string, string>;
  readonly #file: ReadFile;
  readonly #entries: ReadonlyMap<string, Entry>;
  /** Where the data begin. */
  readonly #start: number;

  /** @throws BayesError where the file cannot be read, or its header is not valid */
  constructor(path: string) {
    this.#file = new ReadFile(checkPath("safetensors", path));
    try {
      const { size } = this.#file;
      const first = new Uint8Array(8);
      if (size >= 8) this.#file.fill(first, 0);
      const header = new Uint8Array(headerLength(first, size, path));
      this.#file.fill(header, 8);
      this.#start = 8 + header.length;
      const { entries, metadata } = parseHeader(header, size - this.#start, path);
      this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
      this.metadata = metadata;
    } catch (error) {
      this.#file[Symbol.dispose]();
      throw error;
    }
  }

  get size(): number {
    return this.#file.size;
  }

  /** In the order of their bytes. */
  get names(): string[] {
    return [...this.#entries.keys()];
  }

  read(name: string): SafeTensor {
    const { dtype, shape, begin, end } = this.#entries.get(name)!;
    const array = ARRAYS[dtype];
    let data: SafeTensor["data"];
    try {
      data = new array((end - begin) / array.BYTES_PER_ELEMENT);
    } catch {
      throw new BayesError(
        `[${this.#file.path}] expected memory for tensor ${show(name)}, received none for ${end - begin} bytes`,
        {
          code: "ERR_BAYES_MEMORY",
        },
      );
    }
    this.#file.fill(new Uint8Array(data.buffer), this.#start + begin);
    return { dtype, shape, data } as SafeTensor;
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
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
  const start = 8 + headerLength(bytes, bytes.length, where);
  const { entries, metadata } = parseHeader(bytes.subarray(8, start), bytes.length - start, where);
  const tensors = new Map<string, SafeTensor>();
  for (const { name, dtype, shape, begin, end } of entries)
    tensors.set(name, { dtype, shape, data: view(dtype, bytes, start + begin, end - begin) } as SafeTensor);
  return { tensors, metadata };
}

function view(dtype: SafeDtype, bytes: Uint8Array, begin: number, length: number): SafeTensor["data"] {
  const array = ARRAYS[dtype];
  const at = bytes.byteOffset + begin;
  const size = length / array.BYTES_PER_ELEMENT;
  if (at % array.BYTES_PER_ELEMENT === 0) return new array(bytes.buffer as ArrayBuffer, at, size);
  return new array(new Uint8Array(bytes.subarray(begin, begin + length)).buffer, 0, size); // a Buffer.slice is no copy
}
