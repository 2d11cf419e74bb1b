import { BayesError } from "../errors.ts";
import { checkArray } from "../util/arrays.ts";

/** Strings kept in an ONNX file (`metadata_props`), without reading its weights. Throws a BayesError for another file. */
export function readMetadata(bytes: Uint8Array): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let opsets = 0;
  for (const field of fields(checkArray("onnx", "the bytes of a model", bytes, "Uint8Array"))) {
    if (field.number === 8) opsets++;
    if (field.number !== 14 || !field.value) continue;
    const entry = new Map([...fields(field.value)].map((f) => [f.number, f.value]));
    found.set(utf8.decode(entry.get(1)), utf8.decode(entry.get(2)));
  }
  if (opsets === 0) throw malformed();
  return found;
}

const utf8 = new TextDecoder();
const malformed = () =>
  new BayesError("[onnx] expected an ONNX model, received bytes that are not one (or a part of one)", {
    code: "ERR_BAYES_FILE",
  });

/** The fields of a protobuf message; `value` only where it is length-delimited. */
function* fields(bytes: Uint8Array): Generator<{ number: number; value: Uint8Array | undefined }> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= bytes.length || scale > 2 ** 63) throw malformed();
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const wire = tag % 8;
    const length = wire === 2 ? varint() : wire === 1 ? 8 : wire === 5 ? 4 : 0;
    if (wire === 0) varint();
    else if (![1, 2, 5].includes(wire)) throw malformed();
    if (at + length > bytes.length) throw malformed();
    yield { number: Math.floor(tag / 8), value: wire === 2 ? bytes.subarray(at, at + length) : undefined };
    at += length;
  }
}
