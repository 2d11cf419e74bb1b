/**
 * What a data set holds, whatever its files are called and in whichever order they were listed. An example's place is the Philox word at the
 * counter of its own hash, so a run on renamed files is the same run, and an image more moves few others.
 */
import { createHash, hash } from "node:crypto";
import {
  type AnyDataset,
  checkDataset,
  type Dataset,
  type Examples,
  hasClasses,
  isStreamed,
  kindOf,
  subset,
} from "./dataset.ts";

const keyCache = new WeakMap<Dataset, BigUint64Array>();
const identityCache = new WeakMap<AnyDataset, string>();

/**
 * A short name for the content of a data set: 16 hexadecimal digits of a hash of every example (pixels with target, a
 * class by its name), the image shape, the kind of numbers and the class names. The order of the examples, the names of
 * their files and the numbers of their classes do not matter; a renamed class does.
 *
 * Computed at the first call and remembered, so the arrays of a set are not to be written to. A streamed set has the
 * identity of its images in memory (unless its maker brought keys of his own).
 */
export function identity(data: AnyDataset): string {
  const known = identityCache.get(data);
  if (known !== undefined) return known;
  const keys = keysOf(data).slice().sort();
  const { shape, targets, targetShape, classes = [], targetNames = [] } = data;
  // Only class numbers are read by name; several labels at once stand in the order of their names.
  const names = hasClasses(data) ? [...classes].sort() : classes;
  const kinds = [pixelKind(data), kindOf(targets)];
  const head = JSON.stringify([shape, kinds, targetShape, names, targetNames]);
  const hex = createHash("sha256").update(head).update(keys).digest("hex").slice(0, 16);
  identityCache.set(data, hex);
  return hex;
}

/** 64 bits for each example: a hash of its pixels and its target, a class being told by its name. */
export function keysOf(data: AnyDataset): BigUint64Array {
  if (isStreamed(data)) {
    checkDataset("identity", data);
    return data.keys.examples;
  }
  let keys = keyCache.get(data);
  if (keys === undefined) {
    checkDataset("identity", data);
    keys = hashRows(data, true);
    keyCache.set(data, keys);
  }
  return keys;
}

/** The examples in an order that depends on their content alone, for training without a validation part. */
export function canonical<D extends AnyDataset>(data: D): D {
  return subset(data, argsort(keysOf(data)));
}

/**
 * The examples of `b` that are in `a` too, by their pixels alone, whatever they are called and labelled: images that a
 * test set shares with the training set. Sets of different image shape or kind of pixels share none.
 * @returns indices into `b`, ascending
 */
export function overlap(a: AnyDataset, b: AnyDataset): Int32Array {
  for (const data of [a, b]) checkDataset("overlap", data);
  const alike = pixelKind(a) === pixelKind(b) && a.shape.every((d, i) => d === b.shape[i]);
  if (!alike) return new Int32Array(0);
  const known = new Set(pixelKeysOf(a));
  const shared: number[] = [];
  for (const [i, key] of pixelKeysOf(b).entries()) if (known.has(key)) shared.push(i);
  return Int32Array.from(shared);
}

/** Indices in ascending order of `keys`, equal ones in that of `ties`. */
export function argsort(keys: BigUint64Array, ties: BigUint64Array = keys): Int32Array {
  const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
  const order = Int32Array.from(keys, (_, i) => i);
  return order.sort((i, j) => compare(keys[i], keys[j]) || compare(ties[i], ties[j]));
}

const pixelKind = (data: AnyDataset) =>
  isStreamed(data) ? ({ u8: "uint8", f32: "float32" } as const)[data.pixels] : kindOf(data.images);

/** {@link keysOf}, of arrays that may have been written to since. */
export const freshKeysOf = (data: AnyDataset): BigUint64Array =>
  isStreamed(data) ? data.keys.examples : hashRows(data, true);

const pixelKeysOf = (data: AnyDataset) => (isStreamed(data) ? data.keys.pixels : hashRows(data, false));

function hashRows(data: Dataset, withTargets: boolean): BigUint64Array {
  const images = bytesOf(data.images);
  const size = images.length / data.count;
  const key = withTargets ? exampleKeys(data, size) : (_: number, pixels: Uint8Array) => keyOf(pixels);
  return BigUint64Array.from({ length: data.count }, ((_: unknown, i: number) =>
    key(i, images.subarray(i * size, (i + 1) * size))) as never);
}

/** 64 bits of what the bytes are. */
export const keyOf = (bytes: Uint8Array): bigint => hash("sha256", bytes, "buffer").readBigUInt64LE(0);

/**
 * Gives the key of an example from its number and its pixels' bytes.
 * @param size bytes of one example's pixels
 */
export function exampleKeys(data: Examples, size: number): (i: number, pixels: Uint8Array) => bigint {
  const targets = targetBytes(data);
  const extra = targets.length / data.count;
  const row = new Uint8Array(size + extra);
  return (i, pixels) => {
    row.set(pixels);
    if (extra > 0) row.set(targets.subarray(i * extra, (i + 1) * extra), size);
    return keyOf(row);
  };
}

/** Targets as bytes, as many for each example; a class is the hash of its name. */
function targetBytes(data: Examples): Uint8Array {
  if (!hasClasses(data)) return bytesOf(data.targets);
  const names = data.classes.map((name) => hash("sha256", name, "buffer").readBigUInt64LE(0));
  return bytesOf(BigUint64Array.from(Array.from(data.targets, (label) => names[label])));
}

export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
