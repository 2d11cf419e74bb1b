/**
 * What likelihoods of numbers have in common: the units of the targets, and the scale of the noise around what the network
 * says: given, learned once, or a second output of the network.
 */
import { alignColumns } from "../../data/classes.ts";
import { type AnyDataset, checkDataset } from "../../data/dataset.ts";
import { checkShape, constant, type Shape, sameShape, sizeOf, type Tensor } from "../../graph/node.ts";
import { parameter } from "../../graph/trace.ts";
import { add, exp, mul, scale, slice, softplus, sum } from "../../ops/index.ts";
import { copyList } from "../../util/arrays.ts";
import { BayesError, checkNumber, checkOptions, fail } from "../../util/errors.ts";
import type { Targets } from "./likelihood.ts";

/**
 * The noise of the targets around what the network says:
 * - a number: its scale is known, in units of the targets;
 * - "learned": one scale for all examples, a parameter of the model (the default); numbers along the last axis of a target
 *   (which may have units of their own) have one each;
 * - "predicted": each value has its own, which the network gives: twice as many channels, means first, then scales
 *   before a softplus.
 */
export type NoiseScale = number | "learned" | "predicted";

export interface RegressionOptions {
  /** Scale of the noise. Default "learned". */
  readonly noise?: NoiseScale;
  /** Names of the numbers, in the order of the last axis, for people and reports. */
  readonly names?: readonly string[];
  /**
   * Centre and spread of the targets, one number for each along the last axis (or one for all): the network works in
   * (target - center) / spread, and everything else in the targets' own units. Default: mean and standard deviation of the
   * first training set.
   */
  readonly center?: readonly number[];
  readonly spread?: readonly number[];
}

/**
 * Below this (in units of the spread) a learned or predicted scale does not fall: a point that is hit exactly, or a number
 * that never varies, would be worth infinity.
 */
const LEAST = 1e-3;
/**
 * The logarithm of a learned scale (in units of the spread, above the least) is the sum of these, a parameter. An optimizer like Adam moves each value by at most its
 * learning rate a step: alone, one would need thousands of steps from the spread of the targets to a tenth of it.
 */
const LOG_SCALE = { name: "likelihood/logScale", shares: 16 };

/** A frozen copy of the options. @throws BayesError for ones that make no sense */
export function copyRegression(where: string, options: RegressionOptions): RegressionOptions {
  const own: Record<string, unknown> = {};
  const kinds = { noise: "number|string", names: "object", center: "object", spread: "object" };
  for (const [key, value] of Object.entries(checkOptions(where, options, kinds)))
    own[key] = Array.isArray(value) ? copyList(where, key, value) : value;
  checkRegression(where, own);
  return Object.freeze(own);
}

function checkRegression(where: string, { noise = "learned", names, center, spread }: RegressionOptions): void {
  if (noise !== "learned" && noise !== "predicted" && typeof noise !== "number")
    fail(where, 'noise as a number, "learned" or "predicted"', noise);
  if (typeof noise === "number" && !(checkNumber(where, "noise", noise, 0) > 0)) fail(where, "noise above 0", noise);
  if (names !== undefined && !(Array.isArray(names) && names.every((n) => typeof n === "string")))
    fail(where, "names as a list of texts", names);
  const again = names?.find((name, i) => names.indexOf(name) !== i);
  if (again !== undefined) fail(where, "every name once", again);
  if ((center === undefined) !== (spread === undefined)) fail(where, "center and spread together", center ?? spread);
  if (center === undefined || spread === undefined) return;
  if (!Array.isArray(center) || !Array.isArray(spread) || center.length !== spread.length || center.length === 0)
    fail(where, "center and spread as two lists of numbers of one length", [center, spread]);
  for (const c of center) checkNumber(where, "center", c);
  for (const s of spread) if (!(checkNumber(where, "spread", s, 0) > 0)) fail(where, "spread above 0", s);
}

/** Dimensions of a target, given those of an output. */
export function meansShape(where: string, output: Shape, { noise, names, center }: RegressionOptions): Shape {
  if (output.length === 0) fail(where, "an output with a last axis of numbers, [batch, ..., numbers]", ["batch"]);
  const channels = output[output.length - 1];
  if (noise === "predicted" && channels % 2 !== 0)
    fail(where, "an output with an even last axis for predicted noise: means, then scales", ["batch", ...output]);
  const shape = noise === "predicted" ? [...output.slice(0, -1), channels / 2] : output;
  const last = shape[shape.length - 1];
  if (names && names.length !== last) fail(where, `${last} names, one for each number of the output`, names.length);
  if (center && center.length !== 1 && center.length !== last)
    fail(where, `center and spread of ${last} numbers, or of one`, center.length);
  return shape;
}

/** Means and scale of the noise from an output [R, ...], in units of the targets; the scale stretches to the means. */
export function located(output: Tensor, options: RegressionOptions): { mean: Tensor; scale: Tensor } {
  const { noise = "learned", center = [0], spread = [1] } = options;
  const unit = constant(Float32Array.from(spread));
  const shift = (x: Tensor) => add(mul(x, unit), constant(Float32Array.from(center)));
  if (typeof noise === "number") return { mean: shift(output), scale: constant(Float32Array.of(noise)) };
  const scaled = (raw: Tensor) => mul(scale(raw, 1, LEAST), unit);
  if (noise === "learned") {
    const shape = [LOG_SCALE.shares, output.shape[output.shape.length - 1]];
    const shares = parameter(LOG_SCALE.name, shape, () => new Float32Array(sizeOf(shape)), { share: true });
    return { mean: shift(output), scale: scaled(exp(sum(shares, 0))) };
  }
  const half = [...output.shape.slice(0, -1), output.shape[output.shape.length - 1] / 2];
  const first = half.map(() => 0);
  const second = [...first.slice(0, -1), half[half.length - 1]];
  return { mean: shift(slice(output, first, half)), scale: scaled(softplus(slice(output, second, half))) };
}

/** The options with what a training set adds: centre and spread along the last axis, names. */
export function fromData<O extends RegressionOptions>(options: O, data: AnyDataset): O {
  const { targets, targetShape, targetNames } = data;
  const last = targetShape.at(-1) ?? 1;
  const names = options.names ?? (targetNames?.length === last ? targetNames : undefined);
  if (options.center) return names === options.names ? options : { ...options, names };
  const mean = new Array<number>(last).fill(0);
  const square = new Array<number>(last).fill(0);
  const rows = targets.length / last;
  // divided last: the sum of many equal float32 is exact, and so is then their mean
  for (let i = 0; i < targets.length; i++) mean[i % last] += targets[i];
  for (let c = 0; c < last; c++) mean[c] /= rows;
  for (let i = 0; i < targets.length; i++) square[i % last] += (targets[i] - mean[i % last]) ** 2 / rows;
  // columns go by name, as those of the targets do
  const column = (c: number): number => {
    const there = names ? (targetNames?.indexOf(names[c]) ?? -1) : -1;
    return there < 0 ? c : there;
  };
  // float32, as the program has them; a number that never varies is only centred
  const spread = square.map((_, c) => Math.fround(Math.sqrt(square[column(c)])) || 1);
  const center = mean.map((_, c) => Math.fround(mean[column(c)]));
  return { ...options, ...(names ? { names } : {}), center, spread };
}

/**
 * The targets of a data set of numbers, in the order of the names if there are any.
 * @throws BayesError if it holds something else, or numbers of another shape or other names
 */
export function numberTargets(
  where: string,
  kind: string,
  data: AnyDataset,
  shape: Shape,
  names?: readonly string[],
): Targets {
  checkDataset(where, data);
  checkShape(where, shape);
  if (data.targets instanceof Int32Array)
    throw new BayesError(
      `[${where}] expected numbers (made with targets) for likelihood ${kind}, received the classes of data set ${data.name}`,
      { code: "ERR_BAYES_DATA" },
    );
  const one = sizeOf(shape) === 1 && sizeOf(data.targetShape) === 1;
  if (!one && !sameShape(data.targetShape, shape))
    fail(
      where,
      `targets of shape [${shape}], as the model gives them, in data set ${data.name}`,
      data.targetShape,
      "ERR_BAYES_DATA",
    );
  return alignColumns(where, data, names);
}
