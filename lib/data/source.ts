/**
 * Data sets whose images are read when they are needed: a `read` of examples by number, and 64-bit keys of every example, found in one pass when
 * the set is opened, with which every image read later is compared. In training the images of a step are an input of the program; noise knows only
 * rows of the batch, so the bits are those of the same set in memory.
 */
import { onAbort } from "../util/abort.ts";
import { arrayKind, asArray, isSignal } from "../util/arrays.ts";
import { BayesError, checkInt, checkOptions, fail } from "../util/errors.ts";
import { checkMemory } from "../util/memory.ts";
import {
  type AnyDataset,
  ChannelStats,
  type ClassExamples,
  type ClassParts,
  checkDataset,
  checkIndices,
  checkShape,
  type Dataset,
  type Examples,
  examplesOf,
  type ImageShape,
  imageSize,
  isStreamed,
  type StreamedDataset,
  subset,
  type TargetParts,
} from "./dataset.ts";
import { each } from "./decode.ts";
import { bytesOf, exampleKeys, keyOf } from "./identity.ts";
import { normalizationBy, normalizationOf as normalizationOfArray, type Preprocess } from "./prepare.ts";

type Pixels = Uint8Array | Float32Array;

/** Examples of one call of a reader, and bytes: enough to be worth a call, few enough that several may be under way. */
const CALL = 256;
const CALL_BYTES = 8 << 20;
/** Calls of a reader that are under way at a time, of one who reads. */
const CALLS = 4;
/** Bytes of a piece of a pass over a set; one more is being read meanwhile. */
const PIECE_BYTES = 8 << 20;

/** A pass over a set may take long: how it goes on, and how to stop it. */
export interface PassOptions {
  /** Called with the number of examples done, of all that the pass reads. */
  readonly onProgress?: (done: number, total: number) => unknown;
  /** Stops the pass: it is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** What {@link makeSource} needs to know besides the targets. */
export interface SourceOptions extends PassOptions {
  readonly name?: string;
  /** Number of examples. */
  readonly count: number;
  /** What `read` gives: bytes 0..255 as Uint8Array, or float32 as they come. */
  readonly pixels: "u8" | "f32";
  /**
   * Gives the pixels of these examples, one after the other, indices.length * H * W * C values in an array that the reader
   * does not use again. Called with at most 256 examples in any order, several times at once; of one example it must
   * always give the same. The signal says that nobody waits for them any more.
   */
  readonly read: (
    indices: Int32Array,
    signal?: AbortSignal,
  ) => Promise<Uint8Array | Float32Array> | Uint8Array | Float32Array;
  /** What an example is called in messages, such as its file. */
  readonly describe?: (index: number) => string;
  /**
   * 64 bits that tell each example's content, if they are known without reading it: for identity, splits and comparing a run
   * that is resumed. Default: of pixels and target, as of a set in memory, for which all is read once.
   */
  readonly keys?: BigUint64Array;
}

/** What {@link makeSource} takes: as {@link makeDataset}, with `count`, `pixels` and `read` in place of the images. */
export type SourceParts = SourceOptions &
  (Omit<ClassParts, "images" | "count"> | Omit<TargetParts, "images" | "count">);

/**
 * Makes a data set of images that are read when they are needed, because they do not fit into memory. Everything takes it
 * that takes a set in memory (fit, predict, evaluate, split, …) and gives the same bits.
 *
 * All examples are read once here, to know their content: identity, split and order are then those of the same images in
 * memory, and an example that is read with other pixels later is an error.
 *
 * @throws BayesError when the parts do not agree, as {@link makeDataset}; here and later when `read` is rejected or gives
 *   something else than the pixels asked for (the message names the set and the example); the signal's reason
 * @example
 * <!-- setup: import { makeSource, fit, createModel } from "bayescnn"; const store = new Uint8Array(64 * 144);
 * const labels = Array.from({ length: 64 }, (_, i) => i % 2); -->
 * ```ts
 * const train = await makeSource({
 *   name: "cells", count: 64, shape: [12, 12, 1], pixels: "u8", labels, classes: ["healthy", "ill"],
 *   read: async (indices) => Buffer.concat(Array.from(indices, (i) => store.subarray(144 * i, 144 * (i + 1)))),
 * });
 * ```
 */
export async function makeSource(
  parts: SourceParts & Omit<ClassParts, "images">,
): Promise<StreamedDataset & ClassExamples>;
export async function makeSource(parts: SourceParts): Promise<StreamedDataset>;
export async function makeSource(parts: SourceParts): Promise<StreamedDataset> {
  const kinds = { name: "string", count: "number", shape: "object", pixels: "string", read: "function" };
  const targets = { labels: "object", classes: "object|number", targets: "object", targetShape: "object" };
  const more = { targetNames: "object", notes: "object", background: "string", describe: "function", keys: "object" };
  const pass = { onProgress: "function", signal: "object" };
  checkOptions<object>("data source", parts, { ...kinds, ...targets, ...more, ...pass } as never);
  const { name = "data", shape, pixels, read, keys, describe, signal } = parts;
  const where = `data set ${name}`;
  const count = checkInt(where, "the number of examples (count)", parts.count, 1, 0x7fffffff);
  checkShape(where, shape);
  if (pixels !== "u8" && pixels !== "f32") fail(where, 'pixels "u8" or "f32"', pixels);
  if (typeof read !== "function") fail(where, "read as a function", read);
  if (signal && !isSignal(signal)) fail(where, "signal as an AbortSignal", signal);
  const about = examplesOf(where, name, parts, count);
  if (keys !== undefined) {
    if (arrayKind(keys) !== "BigUint64Array" || keys.length !== count)
      fail(where, `keys as a BigUint64Array of ${count}, one for each example`, keys);
    return {
      ...about,
      pixels,
      read: checkedReader({ where, shape, count, pixels, read, describe }),
      keys: { examples: keys, pixels: keys },
    };
  }
  const found = { examples: new BigUint64Array(count), pixels: new BigUint64Array(count) };
  const bare = { ...about, pixels, keys: found, read: checkedReader({ where, shape, count, pixels, read, describe }) };
  const keyAt = exampleKeys(about, imageSize(shape) * (pixels === "u8" ? 1 : 4));
  for await (const piece of inOrder(bare, parts))
    for (const [i, row] of rowsOf(piece, imageSize(shape))) {
      found.examples[i] = keyAt(i, bytesOf(row));
      found.pixels[i] = keyOf(bytesOf(row));
    }
  return { ...about, pixels, ...knownSource({ where, shape, count, pixels, read, describe }, found) };
}

/** What reads a set: its user's own function, and what there is to check it by. */
export interface Reader extends Pick<SourceOptions, "count" | "pixels" | "read" | "describe"> {
  readonly where: string;
  readonly shape: ImageShape;
}

/** The part of a streamed set that reads, if the content of its examples is known: every one that is read is compared. */
export function knownSource(reader: Reader, keys: StreamedDataset["keys"]): Pick<StreamedDataset, "read" | "keys"> {
  return { read: checkedReader(reader, keys.pixels), keys };
}

/** `read` with everything checked that may go wrong in it. */
function checkedReader(reader: Reader, keys?: BigUint64Array): StreamedDataset["read"] {
  const { where, shape, count, pixels, read, describe } = reader;
  const size = imageSize(shape);
  const called = (i: number) => `example ${i}${describe ? ` (${describe(i)})` : ""}`;
  const some = (indices: Int32Array) =>
    indices.length === 1
      ? called(indices[0])
      : `${indices.length} examples, of which the first is ${called(indices[0])}`;
  const get = async (indices: Int32Array, signal: AbortSignal | undefined): Promise<Pixels> => {
    let given: unknown;
    try {
      given = await unlessAborted(async () => read(indices.slice(), signal), signal);
    } catch (error) {
      if (signal?.aborted) throw signal.reason;
      const why = error instanceof Error ? error.message : String(error);
      throw new BayesError(`[${where}] expected the pixels of ${some(indices)}, received an error: ${why}`, {
        code: error instanceof BayesError ? error.code : "ERR_BAYES_FILE",
        cause: error,
      });
    }
    const values = asArray(given, pixels === "u8" ? "Uint8Array" : "Float32Array");
    const kind = pixels === "u8" ? "Uint8Array" : "Float32Array";
    if (!values) return fail(where, `the pixels of ${some(indices)} as a ${kind}`, given);
    if (values.length !== indices.length * size)
      fail(where, `${indices.length * size} pixel values of ${some(indices)}`, values.length);
    return values;
  };
  return async (indices, signal) => {
    signal?.throwIfAborted();
    checkIndices(where, indices, count);
    let values: Pixels;
    try {
      values = await get(indices, signal);
    } catch (error) {
      if (signal?.aborted || indices.length === 1) throw error;
      for (const i of indices) await get(Int32Array.of(i), signal); // throws for the one that is to blame
      throw error;
    }
    for (const [at, row] of rowsOf({ first: 0, pixels: values }, size)) {
      if (row instanceof Float32Array) {
        const wrong = row.findIndex((v) => !Number.isFinite(v));
        if (wrong >= 0)
          throw new BayesError(
            `[${where}] expected finite pixels, received ${row[wrong]} in ${called(indices[at])} at value ${wrong}`,
            { code: "ERR_BAYES_DATA" },
          );
      }
      if (keys && keyOf(bytesOf(row)) !== keys[indices[at]])
        throw new BayesError(
          `[${where}] expected the pixels that ${called(indices[at])} had when the set was opened, received others`,
          { code: "ERR_BAYES_DATA" },
        );
    }
    return values;
  };
}

function* rowsOf(
  piece: { readonly first: number; readonly pixels: Pixels },
  size: number,
): Generator<[number, Pixels]> {
  const { first, pixels } = piece;
  for (let i = 0; i * size < pixels.length; i++) yield [first + i, pixels.subarray(i * size, (i + 1) * size)];
}

/** What `work` gives, or the signal's reason as soon as it aborts: nobody waits for a reader that never answers. */
function unlessAborted<T>(work: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work();
  return new Promise((resolve, reject) => {
    const deaf = onAbort(signal, () => reject(signal.reason));
    work().then(resolve, reject).finally(deaf);
  });
}

/** The pixels of any number of examples, read by several calls. */
export async function readMany(data: StreamedDataset, indices: Int32Array, signal?: AbortSignal): Promise<Pixels> {
  const size = imageSize(data.shape);
  const most = callSize(data);
  const read = (some: Int32Array) => unlessAborted(async () => data.read(some, signal), signal);
  if (indices.length <= most) return read(indices);
  const all = new (data.pixels === "u8" ? Uint8Array : Float32Array)(indices.length * size);
  const calls = Array.from({ length: Math.ceil(indices.length / most) }, (_, i) => i * most);
  await each(calls, async (at) => all.set(await read(indices.subarray(at, at + most)), at * size), CALLS);
  return all;
}

const bytesEach = ({ shape, pixels }: StreamedDataset) => imageSize(shape) * (pixels === "u8" ? 1 : 4);
const callSize = (data: StreamedDataset) => Math.max(1, Math.min(CALL, Math.floor(CALL_BYTES / bytesEach(data))));

/** A set's images in pieces, in the order of their numbers. */
export interface Piece {
  readonly first: number;
  readonly count: number;
  readonly pixels: Pixels;
}

/**
 * All images of a set in order, the next piece being read while one is worked on. Whoever leaves early stops the reading.
 * @param unit pieces are a multiple of so many examples (but for the last)
 */
export async function* inOrder(
  data: StreamedDataset,
  { signal, onProgress }: PassOptions = {},
  unit = callSize(data),
): AsyncGenerator<Piece> {
  const size = unit * Math.max(1, Math.floor(Math.min(4096, PIECE_BYTES / bytesEach(data)) / unit));
  const stop = new AbortController();
  const deaf = signal && onAbort(signal, () => stop.abort(signal.reason));
  const piece = async (first: number): Promise<Piece> => {
    const count = Math.min(size, data.count - first);
    const indices = Int32Array.from({ length: count }, (_, i) => first + i);
    return { first, count, pixels: await readMany(data, indices, stop.signal) };
  };
  try {
    signal?.throwIfAborted();
    let next = piece(0);
    for (let first = 0; first < data.count; first += size) {
      const now = await next;
      if (first + size < data.count) {
        next = piece(first + size);
        next.catch(() => {}); // met when its turn comes, if it comes
      }
      yield now;
      onProgress?.(first + now.count, data.count);
    }
  } finally {
    deaf?.();
    stop.abort();
  }
}

/**
 * The normalization of a set by its own statistics, which is what `fit` gives a model that has none yet. Of a streamed set
 * it is a promise: all is read twice. The numbers are those of the same images in memory.
 */
export function normalizationOf(data: Dataset): Preprocess & { scale: number[]; shift: number[] };
export function normalizationOf(
  data: AnyDataset,
  options?: PassOptions,
): Promise<Preprocess & { scale: number[]; shift: number[] }>;
export function normalizationOf(data: AnyDataset, options: PassOptions = {}) {
  return isStreamed(data) ? streamedNormalization(data, options) : normalizationOfArray(data);
}

async function streamedNormalization(data: StreamedDataset, { signal, onProgress }: PassOptions) {
  checkDataset("normalizationOf", data);
  const stats = new ChannelStats(data.shape[2], data.pixels === "u8" ? 1 / 255 : 1);
  const total = 2 * data.count;
  for (const [done, pass] of [
    [0, "first"],
    [data.count, "second"],
  ] as const)
    for await (const { pixels } of inOrder(data, { signal, onProgress: (n) => onProgress?.(done + n, total) }))
      stats[pass](pixels);
  return normalizationBy(stats.result, data.pixels, data.background);
}

/**
 * Some examples of a set, in memory: of a streamed set, what is to be looked at or kept.
 * @throws BayesError as {@link StreamedDataset.read}
 */
export async function inMemory<D extends Examples>(
  data: D & AnyDataset,
  indices?: ArrayLike<number>,
  signal?: AbortSignal,
): Promise<Dataset & Omit<D, keyof StreamedDataset>> {
  checkDataset("inMemory", data);
  const part = subset(data as AnyDataset, indices ?? Int32Array.from({ length: data.count }, (_, i) => i));
  if (!isStreamed(part)) return part as never;
  const { read, keys, pixels, ...about } = part;
  checkMemory(`data set ${part.name}`, part.count * bytesEach(part), "take fewer examples at a time");
  const all = Int32Array.from({ length: part.count }, (_, i) => i);
  return { ...about, images: await readMany(part, all, signal) } as never;
}
