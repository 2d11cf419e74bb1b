import { BayesError, checkInt, checkOptions, fail } from "../errors.ts";
import { STREAM_SPLIT } from "../util/philox.ts";
import { permutation } from "./order.ts";

/** Height, width, channels of one image. */
export type ImageShape = readonly [height: number, width: number, channels: number];

/**
 * A labelled image set held in memory. Pixels are bytes 0..255 as the readers give them; a set made from the user's own
 * arrays may hold float32, taken as it is (no division by 255).
 */
export interface Dataset {
  readonly name: string;
  /** count * H * W * C values, NHWC */
  readonly images: Uint8Array | Float32Array;
  /** one class number per image, 0..classes.length-1 */
  readonly labels: Int32Array;
  readonly count: number;
  readonly shape: ImageShape;
  readonly classes: readonly string[];
}

/** A training set and a test set. */
export interface TrainTest {
  readonly train: Dataset;
  readonly test: Dataset;
}

/** Values in one image of the set. */
export function imageSize(shape: ImageShape): number {
  return shape[0] * shape[1] * shape[2];
}

/** What {@link makeDataset} takes. */
export interface DatasetParts {
  readonly name?: string;
  readonly images: Uint8Array | Float32Array;
  /** class numbers, one per image */
  readonly labels: ArrayLike<number>;
  readonly shape: ImageShape;
  /** class names, or how many there are (then they are named "0", "1", …) */
  readonly classes: readonly string[] | number;
  /** Not needed: the labels are counted. Allowed, so that the parts of a data set can be passed on. */
  readonly count?: number;
}

/**
 * Checks the parts and makes a data set of them. The images are not copied.
 * @throws BayesError when sizes do not agree, a dimension is zero, a label is out of range, or a float image holds NaN
 *   or infinity (the first such image is named)
 */
export function makeDataset(parts: DatasetParts): Dataset {
  checkOptions("data set", parts, {
    name: "string",
    images: "object",
    labels: "object",
    shape: "object",
    classes: "object|number",
    count: "number",
  });
  const { name = "data", images, shape } = parts;
  const where = `data set ${name}`;
  if (!(images instanceof Uint8Array) && !(images instanceof Float32Array)) {
    fail(where, "images as Uint8Array or Float32Array", images);
  }
  if (!Array.isArray(shape) || shape.length !== 3) fail(where, "shape as [height, width, channels]", shape);
  for (const [axis, what] of ["height", "width", "channels"].entries()) checkInt(where, what, shape[axis], 1, 1 << 20);
  const classes = classNames(where, parts.classes);
  const size = imageSize(shape);
  const count = images.length / size;
  if (images.length === 0) fail(where, "at least one image", "none");
  if (!Number.isInteger(count)) {
    fail(where, `images of a length that is a multiple of ${shape.join("x")} = ${size}`, images.length);
  }
  if (typeof parts.labels?.length !== "number") fail(where, `${count} labels, one for each image`, parts.labels);
  if (parts.labels.length !== count) fail(where, `${count} labels, one for each image`, parts.labels.length);
  const labels = checkedLabels(where, parts.labels, classes.length);
  if (images instanceof Float32Array) checkFinite(where, images, size);
  return { name, images, labels, count, shape: [shape[0], shape[1], shape[2]], classes };
}

/**
 * Throws unless `data` is a data set whose parts fit together, as {@link makeDataset} makes them, with labels in range.
 * Pixels are not looked at: NaN shows in the first step, with the name of the op that met it.
 */
export function checkDataset(where: string, data: Dataset): void {
  const { images, labels, shape, classes, count } = data ?? {};
  if (!(images instanceof Uint8Array || images instanceof Float32Array) || !(labels instanceof Int32Array))
    fail(where, "a data set, as makeDataset makes it", data);
  if (!Array.isArray(shape) || shape.length !== 3 || !Array.isArray(classes))
    fail(where, "a data set with a shape [height, width, channels] and classes", shape);
  if (count < 1 || images.length !== count * imageSize(shape) || labels.length !== count)
    fail(where, `${count} images of ${shape.join("x")}, and as many labels`, images);
  checkedLabels(where, labels, classes.length);
}

/**
 * A data set from your own arrays: bytes 0..255, or float32 used as it is.
 * @param parts images NHWC, labels, shape [H, W, C], class names or their number
 * @throws BayesError as {@link makeDataset}
 */
export const fromArrays: (parts: DatasetParts) => Dataset = makeDataset;

/** The images at `indices`, in that order (an index may repeat). */
export function subset(data: Dataset, indices: ArrayLike<number>, name = data?.name): Dataset {
  checkDataset(`subset of ${data?.name}`, data);
  if (!(indices?.length > 0)) fail(`subset of ${data.name}`, "at least one index", indices);
  const size = imageSize(data.shape);
  const length = indices.length * size;
  const images = data.images instanceof Uint8Array ? new Uint8Array(length) : new Float32Array(length);
  const labels = new Int32Array(indices.length);
  for (let i = 0; i < indices.length; i++) {
    const from = checkInt(`subset of ${data.name}`, `index ${i}`, indices[i], 0, data.count - 1);
    images.set(data.images.subarray(from * size, (from + 1) * size), i * size);
    labels[i] = data.labels[from];
  }
  return { ...data, name, images, labels, count: indices.length };
}

/**
 * Two disjoint random parts of a set, the same for the same seed. Each part keeps the order drawn by the seed.
 * @param sizes how many examples each part gets; the rest is left out
 * @throws BayesError when the sizes exceed the count
 */
export function split(
  data: Dataset,
  sizes: { readonly train: number; readonly valid: number },
  seed: number,
): { train: Dataset; valid: Dataset } {
  const where = `split of ${data?.name}`;
  checkDataset(where, data);
  checkOptions(where, sizes, { train: "number", valid: "number" });
  checkInt(where, "train size", sizes.train, 1);
  checkInt(where, "valid size", sizes.valid, 1);
  const total = sizes.train + sizes.valid;
  if (total > data.count) fail(where, `train + valid to be at most ${data.count}, the number of examples`, total);
  const order = permutation(data.count, seed, 0, STREAM_SPLIT);
  return {
    train: subset(data, order.subarray(0, sizes.train)),
    valid: subset(data, order.subarray(sizes.train, total)),
  };
}

/**
 * Mean and standard deviation (population) of every channel, of x/255 for bytes and of x for float images.
 * Summed in double, in two passes.
 */
export function channelStats(data: Dataset): { mean: number[]; std: number[] } {
  checkDataset("channelStats", data);
  const channels = data.shape[2];
  const unit = data.images instanceof Uint8Array ? 1 / 255 : 1;
  const pixels = data.images.length / channels;
  const mean = new Array<number>(channels).fill(0);
  const variance = new Array<number>(channels).fill(0);
  for (let i = 0, c = 0; i < data.images.length; i++, c = c + 1 === channels ? 0 : c + 1) mean[c] += data.images[i];
  for (let c = 0; c < channels; c++) mean[c] /= pixels;
  for (let i = 0, c = 0; i < data.images.length; i++, c = c + 1 === channels ? 0 : c + 1) {
    const d = data.images[i] - mean[c];
    variance[c] += d * d;
  }
  return { mean: mean.map((m) => m * unit), std: variance.map((v) => Math.sqrt(v / pixels) * unit) };
}

function classNames(where: string, classes: readonly string[] | number): readonly string[] {
  if (typeof classes === "number") {
    checkInt(where, "number of classes", classes, 1, 1 << 20);
    return Array.from({ length: classes }, (_, i) => String(i));
  }
  if (!Array.isArray(classes) || classes.length === 0) fail(where, "class names, or their number", classes);
  for (const [i, name] of classes.entries())
    if (typeof name !== "string") fail(where, `the name of class ${i} to be a text`, name);
  return classes;
}

function checkedLabels(where: string, labels: ArrayLike<number>, classes: number): Int32Array {
  for (let i = 0; i < labels.length; i++) {
    if (!Number.isInteger(labels[i]) || labels[i] < 0 || labels[i] >= classes) {
      fail(where, `label ${i} to be an integer from 0 to ${classes - 1}`, labels[i]);
    }
  }
  return Int32Array.from(labels);
}

function checkFinite(where: string, images: Float32Array, size: number): void {
  for (let i = 0; i < images.length; i++) {
    if (!Number.isFinite(images[i])) {
      throw new BayesError(
        `[${where}] expected finite pixels, received ${images[i]} in image ${Math.floor(i / size)} at value ${i % size}`,
      );
    }
  }
}
