/** Reading protobuf's wire format (https://protobuf.dev/programming-guides/encoding/), of which nothing is believed. */
import { BayesError } from "../util/errors.ts";

/** One field of a message: `bytes` where it is length-delimited or fixed (4 or 8 bytes), else `int`. */
export interface Field {
  readonly number: number;
  readonly bytes: Uint8Array | undefined;
  /** A varint, as a signed 64-bit integer if it is one that a double holds exactly. */
  readonly int: number;
}

export const malformed = (where = "onnx"): BayesError =>
  new BayesError(`[${where}] expected an ONNX model, received bytes that are not one (or a part of one)`, {
    code: "ERR_BAYES_FILE",
  });

const utf8 = new TextDecoder();
export const text = (bytes: Uint8Array | undefined): string => utf8.decode(bytes);

/** The fields of a message, in order; views of its bytes. @throws BayesError where it is none */
export function* fields(message: Uint8Array, where?: string): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= message.length || scale > 2 ** 63) throw malformed(where);
      const byte = message[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const wire = tag % 8;
    const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : 0;
    const value = wire === 0 ? varint() : 0;
    if (![0, 1, 2, 5].includes(wire) || at + length > message.length) throw malformed(where);
    const bytes = wire === 0 ? undefined : message.subarray(at, at + length);
    yield { number: Math.floor(tag / 8), bytes, int: value >= 2 ** 63 ? value - 2 ** 64 : value };
    at += length;
  }
}

/** The varints of a packed repeated field. */
export function packed(bytes: Uint8Array, where?: string): number[] {
  const all: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= bytes.length || scale > 2 ** 63) throw malformed(where);
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    all.push(value);
  }
  return all;
}
