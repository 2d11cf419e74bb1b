import { checkArray } from "../util/arrays.ts";
import { fields, malformed, text } from "./wire.ts";

/** Strings kept in an ONNX file (`metadata_props`), without reading its weights. Throws a BayesError for another file. */
export function readMetadata(bytes: Uint8Array): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  let opsets = 0;
  for (const field of fields(checkArray("onnx", "the bytes of a model", bytes, "Uint8Array"))) {
    if (field.number === 8) opsets++;
    if (field.number !== 14 || !field.bytes) continue;
    const entry = new Map([...fields(field.bytes)].map((f) => [f.number, f.bytes]));
    found.set(text(entry.get(1)), text(entry.get(2)));
  }
  if (opsets === 0) throw malformed();
  return found;
}
