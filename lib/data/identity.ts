/** What a data set holds, whatever its files are called and in whichever order they were listed. */
import { createHash, hash } from "node:crypto";
import { checkDataset, type Dataset, hasClasses, imageSize, kindOf, subset } from "./dataset.ts";

const keyCache = new WeakMap<Dataset, BigUint64Array>();
const identityCache = new WeakMap<Dataset, string>();

/**
 * A short name for the content of a data set: 16 hexadecimal digits of a hash of every example (pixels with target, a
 * class by its name), the image shape, the kind of numbers and the class names. The order of the examples, the names of
 * their files and the numbers of their classes do not matter; a renamed class does.
 *
 * Computed at the first call and remembered, so the arrays of a set are not to be written to.
 */
export function identity(data: Dataset): string {
  const known = identityCache.get(data);
  if (known !== undefined) return known;
  const keys = keysOf(data).slice().sort();
  const { shape, images, targets, targetShape, classes = [], targetNames = [] } = data;
  // Only class numbers are read by name; several labels at once stand in the order of their names.
  const names = hasClasses(data) ? [...classes].sort() : classes;
  const kinds = [kindOf(images), kindOf(targets)];
  const head = JSON.stringify([shape, kinds, targetShape, names, targetNames]);
  const hex = createHash("sha256").update(head).update(keys).digest("hex").slice(0, 16);
  identityCache.set(data, hex);
  return hex;
}

/** 64 bits for each example: a hash of its pixels and its target, a class being told by its name. */
export function keysOf(data: Dataset): BigUint64Array {
  let keys = keyCache.get(data);
  if (keys === undefined) {
    checkDataset("identity", data);
    keys = hashRows(data, true);
    keyCache.set(data, keys);
  }
  return keys;
}

/** The examples in an order that depends on their content alone, for training without a validation part. */
export function canonical<D extends Dataset>(data: D): D {
  return subset(data, argsort(keysOf(data)));
}

/**
 * The examples of `b` that are in `a` too, by their pixels alone, whatever they are called and labelled: images that a
 * test set shares with the training set. Sets of different image shape or kind of pixels share none.
 * @returns indices into `b`, ascending
 */
export function overlap(a: Dataset, b: Dataset): Int32Array {
  for (const data of [a, b]) checkDataset("overlap", data);
  const alike = kindOf(a.images) === kindOf(b.images) && a.shape.every((d, i) => d === b.shape[i]);
  if (!alike) return new Int32Array(0);
  const known = new Set(hashRows(a, false));
  const shared: number[] = [];
  for (const [i, key] of hashRows(b, false).entries()) if (known.has(key)) shared.push(i);
  return Int32Array.from(shared);
}

/** Indices in ascending order of `keys`, equal ones in that of `ties`. */
export function argsort(keys: BigUint64Array, ties = keys): Int32Array {
  const compare = (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0);
  const order = Int32Array.from(keys, (_, i) => i);
  return order.sort((i, j) => compare(keys[i], keys[j]) || compare(ties[i], ties[j]));
}

function hashRows(data: Dataset, withTargets: boolean): BigUint64Array {
  const images = bytesOf(data.images);
  const size = imageSize(data.shape) * data.images.BYTES_PER_ELEMENT;
  const targets = withTargets ? targetBytes(data) : new Uint8Array(0);
  const extra = targets.length / data.count;
  const row = new Uint8Array(size + extra);
  const keys = new BigUint64Array(data.count);
  for (let i = 0; i < data.count; i++) {
    row.set(images.subarray(i * size, (i + 1) * size));
    if (extra > 0) row.set(targets.subarray(i * extra, (i + 1) * extra), size);
    keys[i] = hash("sha256", row, "buffer").readBigUInt64LE(0);
  }
  return keys;
}

/** Targets as bytes, as many for each example; a class is the hash of its name. */
function targetBytes(data: Dataset): Uint8Array {
  if (!hasClasses(data)) return bytesOf(data.targets);
  const names = data.classes.map((name) => hash("sha256", name, "buffer").readBigUInt64LE(0));
  return bytesOf(BigUint64Array.from(Array.from(data.targets, (label) => names[label])));
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
