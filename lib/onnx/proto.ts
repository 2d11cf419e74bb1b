/**
 * The protobuf wire format and the dozen ONNX messages we write (onnx.proto of ONNX 1.12: IR version 8, opset 17).
 * A message is a list of byte chunks, so nesting copies nothing and weights are copied once, by `bytes()`.
 * Source: https://protobuf.dev/programming-guides/encoding/ and onnx/onnx.proto for the field numbers.
 */

import type { OnnxAttr, OnnxData, OnnxDim } from "../ops/shared/onnx.ts";
import { arrayKind } from "../util/arrays.ts";
import { BayesError, fail } from "../util/errors.ts";
import { newArray } from "../util/memory.ts";

const utf8 = new TextEncoder();

/** TensorProto.DataType of the element types we write. */
export const FLOAT = 1;
export const INT64 = 7;

/** AttributeProto.AttributeType. */
const ATTR = { float: 1, int: 2, string: 3, tensor: 4, floats: 6, ints: 7 } as const;

/** A protobuf message under construction. Fields with the default value are written too: ONNX is proto2. */
export class Message {
  readonly #chunks: Uint8Array[] = [];
  #length = 0;

  #push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  #varint(value: number | bigint): void {
    if (value >= 0 && value < 128) {
      this.#push(Uint8Array.of(Number(value))); // nearly all of them
      return;
    }
    const out: number[] = [];
    let rest = BigInt.asUintN(64, BigInt(value)); // int64: a negative number is its 64-bit two's complement, 10 bytes
    for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
    out.push(Number(rest));
    this.#push(Uint8Array.from(out));
  }

  #tag(field: number, wireType: 0 | 2 | 5): void {
    this.#varint((field << 3) | wireType);
  }

  int(field: number, value: number | bigint): this {
    this.#tag(field, 0);
    this.#varint(value);
    return this;
  }

  float(field: number, value: number): this {
    this.#tag(field, 5);
    const chunk = new Uint8Array(4);
    new DataView(chunk.buffer).setFloat32(0, value, true);
    this.#push(chunk);
    return this;
  }

  raw(field: number, value: Uint8Array): this {
    this.#tag(field, 2);
    this.#varint(value.length);
    this.#push(value);
    return this;
  }

  string(field: number, value: string): this {
    return this.raw(field, utf8.encode(value));
  }

  message(field: number, value: Message): this {
    this.#tag(field, 2);
    this.#varint(value.#length);
    for (const chunk of value.#chunks) this.#chunks.push(chunk);
    this.#length += value.#length;
    return this;
  }

  /** The encoded message. Throws {@link BayesError} beyond protobuf's limit of 2 GB. */
  bytes(): Uint8Array {
    if (this.#length >= 2 ** 31) {
      throw new BayesError(`[onnx] the model has ${this.#length} bytes, more than the 2 GB a protobuf file can hold`);
    }
    const out = newArray("onnx", "u8", this.#length, "a smaller model would fit");
    let at = 0;
    for (const chunk of this.#chunks) {
      out.set(chunk, at);
      at += chunk.length;
    }
    return out;
  }
}

/** TensorProto with raw_data (little-endian). Throws when the number of elements is not the product of `dims`. */
export function tensorProto(where: string, data: OnnxData, dims: readonly number[], name?: string): Message {
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (data.length !== size) fail(where, `${size} elements for dims [${dims.join(", ")}]`, data.length);
  const values = Array.isArray(data) ? int64(where, data) : (data as Float32Array | BigInt64Array);
  const message = new Message();
  for (const dim of dims) message.int(1, dim);
  message.int(2, arrayKind(values) === "Float32Array" ? FLOAT : INT64);
  if (name !== undefined) message.string(8, name);
  return message.raw(9, new Uint8Array(values.buffer, values.byteOffset, values.byteLength).slice());
}

function int64(where: string, values: readonly number[]): BigInt64Array {
  return BigInt64Array.from(values, (value) => BigInt(integer(where, value)));
}

function integer(where: string, value: number): number {
  return Number.isSafeInteger(value) ? value : fail(where, "an integer ({ float } marks a float)", value);
}

/** AttributeProto; see {@link OnnxAttr} for how integers and floats are told apart. */
export function attributeProto(where: string, name: string, value: OnnxAttr): Message {
  const at = `${where}.${name}`;
  const message = new Message().string(1, name);
  if (typeof value === "number") return message.int(3, integer(at, value)).int(20, ATTR.int);
  if (typeof value === "string") return message.string(4, value).int(20, ATTR.string);
  if (Array.isArray(value)) {
    for (const item of value as readonly number[]) message.int(8, integer(at, item));
    return message.int(20, ATTR.ints);
  }
  if ("float" in value) return message.float(2, value.float).int(20, ATTR.float);
  if ("floats" in value) {
    for (const item of value.floats) message.float(7, item);
    return message.int(20, ATTR.floats);
  }
  if ("tensor" in value) return message.message(5, tensorProto(at, value.tensor, value.dims)).int(20, ATTR.tensor);
  return fail(at, "an ONNX attribute", value);
}

/** NodeProto. */
export function nodeProto(
  name: string,
  opType: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attrs: Readonly<Record<string, OnnxAttr>>,
): Message {
  const message = new Message();
  for (const input of inputs) message.string(1, input);
  for (const output of outputs) message.string(2, output);
  message.string(3, name).string(4, opType);
  for (const key of Object.keys(attrs).sort()) message.message(5, attributeProto(name, key, attrs[key]));
  return message;
}

/** ValueInfoProto of a tensor whose dimensions may be symbolic. */
export function valueInfoProto(name: string, elemType: number, dims: readonly OnnxDim[], doc?: string): Message {
  const shape = new Message();
  for (const dim of dims) {
    shape.message(1, typeof dim === "number" ? new Message().int(1, dim) : new Message().string(2, dim));
  }
  const type = new Message().message(1, new Message().int(1, elemType).message(2, shape));
  const message = new Message().string(1, name).message(2, type);
  return doc === undefined ? message : message.string(3, doc);
}
