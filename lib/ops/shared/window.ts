import { f32, type Shape, type TensorType, typeName } from "../../graph/node.ts";
import { checkInt, checkObject, fail } from "../../util/errors.ts";

/** A size for both axes, or [height, width]. */
export type Pair = number | readonly [height: number, width: number];
/** Padding for all sides, [vertical, horizontal], or [top, left, bottom, right]. */
export type Padding =
  | number
  | readonly [vertical: number, horizontal: number]
  | readonly [top: number, left: number, bottom: number, right: number];

/** How a pooling window moves over an image. */
export interface WindowOptions {
  readonly kernel: Pair;
  /** Default: the kernel, so windows do not overlap. */
  readonly stride?: Pair;
  /** Default 0. Less than the kernel on every side, so each window holds at least one pixel. */
  readonly padding?: Padding;
}

export type WindowAttrs = {
  readonly kernel: readonly number[];
  readonly stride: readonly number[];
  readonly padding: readonly number[];
};

/** A copy, where it is a list that may be one of sizes; what it is not is said by whoever checks it. */
const own = <T>(list: T): T => (Array.isArray(list) && list.length <= 4 ? ([...list] as T) : list);

export const pair = (p: Pair): readonly number[] => (typeof p === "number" ? [p, p] : own(p));

/**
 * [top, left, bottom, right]
 * @param or what else a padding may be, for the message
 * @throws BayesError for what is no number, and no list of two or four
 */
export function sides(where: string, given: Padding, or = ""): readonly number[] {
  const p: unknown = own(given);
  const list: unknown = typeof p === "number" ? [p, p, p, p] : Array.isArray(p) && p.length === 2 ? [...p, ...p] : p;
  if (Array.isArray(list) && list.length === 4 && list.every((v) => typeof v === "number")) return list;
  return fail(where, `padding as ${or}a number, [vertical, horizontal] or [top, left, bottom, right]`, given);
}

export function windowAttrs(where: string, options: WindowOptions): WindowAttrs {
  const { kernel, stride = kernel, padding = 0 } = checkObject(where, "options with a kernel", options);
  return { kernel: pair(kernel), stride: pair(stride), padding: sides(where, padding) };
}

/** Checks that x is a float32 image batch [N, H, W, C]. */
export function checkImages(where: string, x: TensorType): Shape {
  if (x.dtype !== "f32" || x.shape.length !== 4) fail(where, "x as f32[N, H, W, C]", typeName(x));
  return x.shape;
}

/** The pooled type, after checking everything about x and the window. */
export function pooled(where: string, x: TensorType, { kernel, stride, padding }: WindowAttrs): TensorType {
  const [n, h, w, c] = checkImages(where, x);
  const [top, left, bottom, right] = checkList(where, "padding", padding, 4, 0);
  const size = checkList(where, "kernel", kernel, 2, 1);
  const step = checkList(where, "stride", stride, 2, 1);
  for (const [i, p] of [top, left, bottom, right].entries())
    if (p >= size[i % 2]) fail(where, `padding less than the kernel [${size.join(", ")}] on every side`, [...padding]);
  const along = (n: number, pads: number, i: number): number => {
    if (n + pads < size[i]) fail(where, `a kernel that fits into ${h}x${w} with its padding`, [...kernel]);
    return Math.floor((n + pads - size[i]) / step[i]) + 1;
  };
  return f32([n, along(h, top + bottom, 0), along(w, left + right, 1), c]);
}

/** The ONNX attributes of the same window. */
export const windowOnnx = ({ kernel, stride, padding }: WindowAttrs) => ({
  kernel_shape: kernel,
  strides: stride,
  pads: padding,
});

/** Throws unless `list` holds `count` integers >= min. Returns it. */
export function checkList(where: string, what: string, list: readonly number[], count: number, min: number): number[] {
  if (!Array.isArray(list) || list.length !== count) fail(where, `${what} of ${count} numbers`, list);
  return list.map((v) => checkInt(where, what, v, min, 2 ** 31 - 1));
}
