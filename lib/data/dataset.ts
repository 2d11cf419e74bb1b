import { checkArray } from "../util/arrays.ts";
import { BayesError, checkInt, checkOptions, failData as fail, fail as failArgument, words } from "../util/errors.ts";
import { classNames } from "./classes.ts";

/** Height, width, channels of one image. */
export type ImageShape = readonly [height: number, width: number, channels: number];

/** Everything of a data set but its pixels. */
export interface Examples {
  readonly name: string;
  /**
   * What is to be predicted, count times the product of `targetShape` values: class numbers as int32, everything else
   * (numbers, images, several labels at once) as float32.
   */
  readonly targets: Int32Array | Float32Array;
  /** Dimensions of one example's target; [] for one class number (or one number) an example. */
  readonly targetShape: readonly number[];
  readonly count: number;
  readonly shape: ImageShape;
  /** Names of the classes, in the order of their numbers. */
  readonly classes?: readonly string[];
  /** Names of the numbers to be predicted, or of several labels at once, in the order of the targets' last axis. */
  readonly targetNames?: readonly string[];
  /** Colour that transparent images were laid on, of a set read from image files. */
  readonly background?: string;
  /** What people should know about how the set was read: sentences, such as which files were left out. */
  readonly notes?: readonly string[];
}

/**
 * Images with a target each, in memory. Pixels are bytes 0..255 as the readers give them; a set made from the user's own
 * arrays may hold float32, taken as it is (no division by 255).
 */
export interface Dataset extends Examples {
  /** count * H * W * C values, NHWC */
  readonly images: Uint8Array | Float32Array;
}

/**
 * Images that are read when they are needed, because they do not fit into memory; `makeSource` makes one. Whatever is made
 * of it (training, predictions, splits, orders) has the same bits as of a {@link Dataset} of the same images.
 */
export interface StreamedDataset extends Examples {
  /** What `read` gives: bytes 0..255, or float32 as they come. */
  readonly pixels: "u8" | "f32";
  /**
   * The pixels of these examples, one after the other, checked.
   * @throws BayesError (the promise is rejected) that names the set and the example; the signal's reason when it aborts
   */
  readonly read: (indices: Int32Array, signal?: AbortSignal) => Promise<Uint8Array | Float32Array>;
  /** 64 bits of each example, for identity and splits: of pixels and target, and of the pixels alone. */
  readonly keys: { readonly examples: BigUint64Array; readonly pixels: BigUint64Array };
}

/** A data set of either kind. */
export type AnyDataset = Dataset | StreamedDataset;

/** Whether a set's images are read when they are needed. */
export function isStreamed(data: unknown): data is StreamedDataset {
  return typeof (data as Partial<StreamedDataset> | undefined)?.read === "function";
}

/** Examples of one class each. */
export interface ClassExamples extends Examples {
  /** one class number per image, 0..classes.length-1 */
  readonly targets: Int32Array;
  readonly classes: readonly string[];
}

/** A set of one class each, of either kind. */
export type AnyClassDataset = AnyDataset & ClassExamples;

/** A set of images with one class each: what the readers give. */
export interface ClassDataset extends Dataset, ClassExamples {
  readonly targets: Int32Array;
  readonly classes: readonly string[];
}

/** A training set and a test set. */
export interface TrainTest<D extends Examples = ClassDataset> {
  readonly train: D;
  /** there when the data comes with a validation set of its own */
  readonly valid?: D;
  readonly test: D;
}

/** What the readers have to say about the parts of the data, each sentence once. */
export function notesOf({ train, valid, test }: TrainTest<Examples>): string[] {
  return [...new Set([train, valid, test].flatMap((data) => data?.notes ?? []))];
}

/** Whether each image has one class. */
export function hasClasses<D extends Examples>(data: D): data is D & ClassExamples {
  return data.targets instanceof Int32Array && data.targetShape.length === 0 && data.classes !== undefined;
}

/** Values in one image of the set. */
export function imageSize(shape: ImageShape): number {
  return shape[0] * shape[1] * shape[2];
}

/** What every {@link makeDataset} takes. */
export interface Parts {
  readonly name?: string;
  readonly images: Uint8Array | Float32Array;
  readonly shape: ImageShape;
  /** Not needed: the targets are counted. Allowed, so that the parts of a data set can be passed on. */
  readonly count?: number;
  readonly background?: string;
  readonly notes?: readonly string[];
}

/** What {@link makeDataset} takes for images of classes. */
export interface ClassParts extends Parts {
  /** class numbers, one per image */
  readonly labels: ArrayLike<number>;
  /** class names, or how many there are (then they are named "0", "1", …) */
  readonly classes: readonly string[] | number;
}

/** What {@link makeDataset} takes for everything else: numbers, images, several labels at once. */
export interface TargetParts extends Parts {
  /** count times the product of `targetShape` values */
  readonly targets: ArrayLike<number>;
  /** Default: [] for one value an image, else [values an image]. */
  readonly targetShape?: readonly number[];
  /** names of the numbers, or of several labels at once, in the order of the last axis */
  readonly targetNames?: readonly string[];
}

/**
 * Checks the parts and makes a data set of them. The images are not copied.
 * @throws BayesError when sizes do not agree, a dimension is zero, a label is out of range, or an image or a target holds
 *   NaN or infinity (the first one is named)
 */
export function makeDataset(parts: ClassParts | (Parts & ClassDataset)): ClassDataset;
export function makeDataset(parts: TargetParts): Dataset;
export function makeDataset(given: ClassParts | TargetParts | (Parts & ClassDataset)): Dataset {
  const parts = checkOptions<object>("data set", given, {
    name: "string",
    images: "object",
    labels: "object",
    targets: "object",
    targetShape: "object",
    shape: "object",
    classes: "object|number",
    count: "number",
    targetNames: "object",
    background: "string",
    notes: "object",
  } as never) as typeof given;
  const { name = "data", shape } = parts;
  const where = `data set ${name}`;
  const images = checkArray(where, "images", parts.images, "Uint8Array", "Float32Array");
  const size = imageSize(checkShape(where, shape));
  const count = images.length / size;
  if (images.length === 0) fail(where, "at least one image", words("none"));
  if (!Number.isInteger(count)) {
    fail(where, `images of a length that is a multiple of ${shape.join("x")} = ${size}`, images.length);
  }
  if (images instanceof Float32Array) checkFinite(where, "pixels", images, size);
  return { ...examplesOf(where, name, parts, count), images };
}

/** What {@link makeDataset} makes of all parts but the images, checked. */
export function examplesOf(
  where: string,
  name: string,
  parts: Omit<ClassParts, "images"> | Omit<TargetParts, "images">,
  count: number,
): Examples {
  const { shape, background, notes } = parts;
  const about = {
    name,
    count,
    shape: Object.freeze([shape[0], shape[1], shape[2]] as const),
    ...(background ? { background } : {}),
    ...(notes ? { notes } : {}),
  };
  const { labels, targets, targetShape, classes } = parts as Partial<ClassParts & TargetParts>;
  // the parts of a set of classes passed on: class numbers are int32, everything else is float32
  const numbers = targets instanceof Int32Array && !targetShape?.length && classes ? targets : labels;
  return numbers === undefined && targets !== undefined
    ? { ...about, ...targetsOf(where, parts as TargetParts, count) }
    : { ...about, ...labelsOf(where, { labels: numbers, classes } as ClassParts, count) };
}

/** Throws unless `shape` is height, width and channels. Returns it. */
export function checkShape(where: string, shape: ImageShape): ImageShape {
  if (!Array.isArray(shape) || shape.length !== 3) fail(where, "shape as [height, width, channels]", shape);
  for (const [axis, what] of ["height", "width", "channels"].entries()) checkInt(where, what, shape[axis], 1, 1 << 20);
  return shape;
}

function labelsOf(where: string, { labels, classes }: ClassParts, count: number) {
  const names = classNames(where, classes);
  if (typeof labels?.length !== "number") fail(where, `${count} labels, one for each image`, labels);
  if (labels.length !== count) fail(where, `${count} labels, one for each image`, labels.length);
  return { targets: checkedLabels(where, labels, names.length), targetShape: [], classes: names };
}

function targetsOf(where: string, { targets, targetShape, targetNames }: TargetParts, count: number) {
  if (typeof targets?.length !== "number") fail(where, "targets, as many for each image", targets);
  const each = targets.length / count;
  const shape = targetShape ?? (each === 1 ? [] : [each]);
  if (!Array.isArray(shape)) fail(where, "targetShape as a list of dimensions", shape);
  if (!targetShape && !(each >= 1 && Number.isInteger(each)))
    fail(where, `as many targets for each of ${count} images`, targets.length);
  for (const d of shape) checkInt(where, "every dimension of targetShape", d, 1);
  const size = shape.reduce((a, b) => a * b, 1);
  if (each !== size)
    fail(where, `${count * size} targets, of shape [${shape}] for each of ${count} images`, targets.length);
  const values = Float32Array.from(targets);
  checkFinite(where, "targets", values, size);
  const names = targetNames && classNames(where, targetNames);
  const last = shape.at(-1) ?? 1;
  if (names && names.length !== last) fail(where, `${last} names, one for each target of an image`, names.length);
  return {
    targets: values,
    targetShape: Object.freeze([...shape]),
    ...(names ? { targetNames: names } : {}),
  };
}

/**
 * Throws unless `data` is a data set whose parts fit together, as {@link makeDataset} makes them, with labels in range.
 * Pixels are not looked at: NaN shows in the first step, with the name of the op that met it.
 */
export function checkDataset(where: string, data: AnyDataset): void {
  const { targets, targetShape, shape, classes, count } = data ?? {};
  const images = isStreamed(data) ? undefined : data?.images;
  if (!isStreamed(data) && !(images instanceof Uint8Array || images instanceof Float32Array))
    fail(where, "a data set, as makeDataset makes it", data);
  if (!(targets instanceof Int32Array || targets instanceof Float32Array) || !Array.isArray(targetShape))
    fail(where, "a data set with targets, as makeDataset makes it", targets);
  if (!Array.isArray(shape) || shape.length !== 3)
    fail(where, "a data set with a shape [height, width, channels]", shape);
  if (count < 1 || (images && images.length !== count * imageSize(shape)))
    fail(where, `${count} images of ${shape.join("x")}`, images);
  if (isStreamed(data) && (data.keys?.examples?.length !== count || data.keys.pixels?.length !== count))
    fail(where, `a streamed data set, as makeSource makes it, with ${count} keys`, data.keys);
  const size = targetShape.reduce((a, b) => a * b, 1);
  if (targets.length !== count * size) fail(where, `${count * size} targets for ${count} images`, targets.length);
  if (targets instanceof Int32Array) {
    if (!Array.isArray(classes)) fail(where, "a data set of class numbers with the classes' names", classes);
    checkedLabels(where, targets, classes.length);
  }
}

/** The images at `indices`, in that order (an index may repeat). */
export function subset<D extends AnyDataset>(data: D, indices: ArrayLike<number>, name = data?.name): D {
  const where = `subset of ${data?.name}`;
  checkDataset(where, data);
  if (!(indices?.length > 0)) failArgument(where, "at least one index", indices);
  const rows = new Int32Array(checkInt(where, "the number of indices", indices.length, 1, 2 ** 31 - 1));
  for (let i = 0; i < rows.length; i++) rows[i] = checkInt(where, `index ${i}`, indices[i], 0, data.count - 1);
  const targets = rowsOf(data.targets, data.targets.length / data.count, rows);
  const pixels = isStreamed(data) ? streamOf(data, rows) : { images: rowsOf(data.images, imageSize(data.shape), rows) };
  return { ...data, name, ...pixels, targets, count: rows.length };
}

function streamOf({ read, keys, name }: StreamedDataset, rows: Int32Array): Pick<StreamedDataset, "read" | "keys"> {
  const pick = (all: BigUint64Array) => BigUint64Array.from(rows, ((i: number) => all[i]) as never);
  return {
    read: async (indices, signal) => {
      checkIndices(`data set ${name}`, indices, rows.length);
      return read(
        indices.map((i) => rows[i]),
        signal,
      );
    },
    keys: { examples: pick(keys.examples), pixels: pick(keys.pixels) },
  };
}

/** Throws unless `indices` are numbers of examples. */
export function checkIndices(where: string, indices: Int32Array, count: number): void {
  if (!(indices instanceof Int32Array)) fail(where, "indices as Int32Array", indices);
  for (const [at, i] of indices.entries()) if (i < 0 || i >= count) checkInt(where, `index ${at}`, i, 0, count - 1);
}

/** The set with more notes. */
export function withNotes<D extends Examples>(data: D, notes: readonly string[]): D {
  return notes.length === 0 ? data : { ...data, notes: [...new Set([...(data.notes ?? []), ...notes])] };
}

/** "uint8", "int32" or "float32". Not the constructor's name: a Buffer holds bytes as well. */
export function kindOf(values: Uint8Array | Float32Array | Int32Array): "uint8" | "int32" | "float32" {
  return values instanceof Uint8Array ? "uint8" : values instanceof Int32Array ? "int32" : "float32";
}

function rowsOf<T extends Uint8Array | Float32Array | Int32Array>(all: T, size: number, rows: ArrayLike<number>): T {
  const kinds = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array };
  const out = new kinds[kindOf(all)](rows.length * size) as T;
  for (let i = 0; i < rows.length; i++) out.set(all.subarray(rows[i] * size, (rows[i] + 1) * size), i * size);
  return out;
}

/**
 * Mean and standard deviation (population) of every channel, of x/255 for bytes and of x for float images.
 * Summed in double, in two passes.
 */
export function channelStats(data: Dataset): { mean: number[]; std: number[] } {
  checkDataset("channelStats", data);
  const stats = new ChannelStats(data.shape[2], data.images instanceof Uint8Array ? 1 / 255 : 1);
  stats.first(data.images);
  stats.second(data.images);
  return stats.result;
}

/** Sums of {@link channelStats}, of a set's pixels in order, however they are cut into pieces. */
export class ChannelStats {
  readonly #unit: number;
  readonly #mean: number[];
  readonly #variance: number[];
  #pixels = 0;
  #averaged = false;

  constructor(channels: number, unit: number) {
    this.#unit = unit;
    this.#mean = new Array<number>(channels).fill(0);
    this.#variance = new Array<number>(channels).fill(0);
  }

  /** First pass. */
  first(values: Uint8Array | Float32Array): void {
    const mean = this.#mean;
    const channels = mean.length;
    for (let i = 0, c = 0; i < values.length; i++, c = c + 1 === channels ? 0 : c + 1) mean[c] += values[i];
    this.#pixels += values.length / channels;
  }

  /** Second pass, after all of the first. */
  second(values: Uint8Array | Float32Array): void {
    const [mean, variance] = [this.#mean, this.#variance];
    const channels = mean.length;
    if (!this.#averaged) for (let c = 0; c < channels; c++) mean[c] /= this.#pixels;
    this.#averaged = true;
    for (let i = 0, c = 0; i < values.length; i++, c = c + 1 === channels ? 0 : c + 1) {
      const d = values[i] - mean[c];
      variance[c] += d * d;
    }
  }

  get result(): { mean: number[]; std: number[] } {
    const unit = this.#unit;
    return {
      mean: this.#mean.map((m) => m * unit),
      std: this.#variance.map((v) => Math.sqrt(v / this.#pixels) * unit),
    };
  }
}

function checkedLabels(where: string, labels: ArrayLike<number>, classes: number): Int32Array {
  for (let i = 0; i < labels.length; i++) {
    if (!Number.isInteger(labels[i]) || labels[i] < 0 || labels[i] >= classes) {
      fail(where, `label ${i} to be an integer from 0 to ${classes - 1}`, labels[i]);
    }
  }
  return Int32Array.from(labels);
}

export function checkFinite(where: string, what: string, values: Float32Array, size: number): void {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) {
      throw new BayesError(
        `[${where}] expected finite ${what}, received ${values[i]} in image ${Math.floor(i / size)} at value ${i % size}`,
        { code: "ERR_BAYES_DATA" },
      );
    }
  }
}
