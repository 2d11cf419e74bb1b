/**
 * What the convolution family shares. Weights are [kh, kw, channels / groups, filters], transposed ones [kh, kw, filters / groups, channels],
 * linear ones [in, out]. Local reparameterization: v = conv(x^2, sigma^2) + sigma_b^2, y = conv(x, mu) + mu_b + sqrt(v) eps, mean and variance
 * from one pass over x. For backward it keeps one tensor more than a plain layer, r = eps / (2 sqrt(v)) = dy/dv, so backward draws no noise:
 * with g = dL/dy and h = g r, dmu = convW(x, g), dsigma^2 = convW(x^2, h), dx = convD(g, mu) + 2x convD(h, sigma^2). Where v <= 1e-16: y = mean, r = 0.
 */
import type { ChannelFlow, Channels, ProductAxes } from "../../graph/channels.ts";
import {
  type Attrs,
  f32,
  type Node,
  type Shape,
  sameShape,
  sizeOf,
  type Tensor,
  type TensorType,
  typeName,
} from "../../graph/node.ts";
import { arithmetic, type Noise } from "../../graph/trace.ts";
import { checkInt, checkObject, fail } from "../../util/errors.ts";
import type { OnnxContext } from "./onnx.ts";
import { checkImages, checkList, type Padding, type Pair, pair, sides } from "./window.ts";

/** How a kernel moves over an image. */
export interface ConvOptions {
  /** Default 1. */
  readonly stride?: Pair;
  /**
   * Zeros around the image; "same": as many as make the output ceil(input / stride) long, an odd one more at the bottom and
   * the right (TensorFlow's SAME; PyTorch's "same", which takes stride 1 only). Default 0.
   */
  readonly padding?: Padding | "same";
  /** Distance of neighbouring taps; default 1. */
  readonly dilation?: Pair;
  /** Groups of channels that do not see each other (input channels: depthwise); default 1. */
  readonly groups?: number;
  /**
   * Every result is a plain sum of products, so that one of terms that are not negative is not negative: for a variance that
   * is made of plain ops. Default false: kernels of 3 and 5 with stride 1 may be computed in patches (Winograd), two to five
   * times faster, with errors relative to the largest values in a patch. A Bayesian layer's variance is always plain sums.
   */
  readonly exact?: boolean;
}
export interface ConvTransposeOptions extends Omit<ConvOptions, "padding"> {
  /** Rows and columns cut off the output on each side: the padding of the convolution it reverses. Default 0. */
  readonly padding?: Padding;
  /** Rows and columns added at the bottom and right, less than the stride or the dilation. Default 0. */
  readonly outputPadding?: Pair;
}

/**
 * What the kernels of the family read (bias: 0 none, 1 point, 2 Bayesian; precision: 0 fp32, 1 tf32, 2 bf16; exact: 1 where
 * results have to be plain sums).
 */
export type ConvAttrs = {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
  readonly bias: number;
  readonly precision: number;
  readonly exact?: number;
};
export type ConvTransposeAttrs = ConvAttrs & { readonly outputPadding: readonly number[] };
/** The noise of a stochastic op, beside its inputs rng and rows. */
export type NoiseAttrs = { readonly stream: number; readonly samples: number };

/** A Gaussian per weight, and none, a plain or a Gaussian bias. */
export interface BayesWeights {
  readonly mu: Tensor;
  /** Variances, same shape as mu. */
  readonly sigma2: Tensor;
  readonly biasMu?: Tensor;
  readonly biasSigma2?: Tensor;
}

function exactSums(where: string, exact: unknown): { readonly exact?: number } {
  if (exact !== undefined && typeof exact !== "boolean") fail(where, "exact as true or false", exact);
  return exact ? { exact: 1 } : {};
}

export function convAttrs(where: string, x: Shape, w: Shape, options: ConvOptions, bias: number): ConvAttrs {
  checkObject(where, "options as an object", options);
  const stride = pair(options.stride ?? 1);
  const dilation = pair(options.dilation ?? 1);
  const { padding = 0, groups = 1 } = options;
  const rest = { dilation, groups, bias, ...arithmetic(), ...exactSums(where, options.exact) };
  if (padding !== "same") return { stride, padding: sides(where, padding, '"same", '), ...rest };
  const total = [0, 1].map((i) =>
    Math.max(0, (Math.ceil(x[i + 1] / stride[i]) - 1) * stride[i] + dilation[i] * (w[i] - 1) + 1 - x[i + 1]),
  );
  const before = total.map((t) => Math.floor(t / 2)); // an odd one goes to the bottom and the right
  return { stride, padding: [...before, ...total.map((t, i) => t - before[i])], ...rest };
}

export function convTransposeAttrs(where: string, options: ConvTransposeOptions, bias: number): ConvTransposeAttrs {
  const own = checkObject(where, "options as an object", options);
  const { stride, padding, dilation, groups, outputPadding, exact } = own;
  return {
    stride: pair(stride ?? 1),
    padding: sides(where, padding ?? 0),
    dilation: pair(dilation ?? 1),
    groups: groups ?? 1,
    outputPadding: pair(outputPadding ?? 0),
    bias,
    ...arithmetic(),
    ...exactSums(where, exact),
  };
}

/** What both directions check: image, kernel, and the numbers. Returns pads and dilated kernel per axis, and channels. */
function checkWindow(where: string, x: TensorType, w: TensorType, attrs: ConvAttrs) {
  const [n, height, width, c] = checkImages(where, x);
  if (w.dtype !== "f32" || w.shape.length !== 4 || w.shape.includes(0))
    fail(where, "weights as f32[kh, kw, inChannels / groups, outChannels]", typeName(w));
  const stride = checkList(where, "stride", attrs.stride, 2, 1);
  const dilation = checkList(where, "dilation", attrs.dilation, 2, 1);
  const pads = checkList(where, "padding", attrs.padding, 4, 0);
  const groups = checkInt(where, "groups", attrs.groups, 1);
  if (n < 1 || c < 1) fail(where, "a batch and channels that are not empty", typeName(x));
  const reach = [0, 1].map((i) => dilation[i] * (w.shape[i] - 1) + 1);
  return { n, size: [height, width], c, stride, dilation, groups, reach, pads: [pads[0] + pads[2], pads[1] + pads[3]] };
}

/** The type of conv(x, w), after checking everything about both and the geometry. */
export function convolved(where: string, x: TensorType, w: TensorType, attrs: ConvAttrs): TensorType {
  const { n, size, c, stride, groups, reach, pads } = checkWindow(where, x, w, attrs);
  const [, , perGroup, filters] = w.shape;
  const channels = `${perGroup * groups} input channels${groups > 1 ? ` (${groups} groups of ${perGroup})` : ""}`;
  if (c !== perGroup * groups) fail(where, channels, c);
  if (filters % groups) fail(where, `output channels divisible by ${groups} groups`, filters);
  const out = [0, 1].map((i) => {
    if (size[i] + pads[i] < reach[i])
      fail(
        where,
        `an image of at least ${reach.join("x")} with its padding`,
        size.map((s, k) => s + pads[k]),
      );
    return Math.floor((size[i] + pads[i] - reach[i]) / stride[i]) + 1;
  });
  return f32([n, ...out, filters]);
}

/** The type of the transposed convolution of x with w [kh, kw, outChannels / groups, inChannels]. */
export function transposed(where: string, x: TensorType, w: TensorType, attrs: ConvTransposeAttrs): TensorType {
  const { n, size, c, stride, dilation, groups, reach, pads } = checkWindow(where, x, w, attrs);
  const [, , perGroup, inputs] = w.shape;
  if (c !== inputs) fail(where, `${inputs} input channels`, c);
  if (c % groups) fail(where, `input channels divisible by ${groups} groups`, c);
  const extra = checkList(where, "outputPadding", attrs.outputPadding, 2, 0);
  const out = [0, 1].map((i) => {
    if (extra[i] >= Math.max(stride[i], dilation[i]))
      fail(where, "outputPadding less than the stride or the dilation", extra);
    const length = (size[i] - 1) * stride[i] - pads[i] + reach[i] + extra[i];
    if (length < 1) fail(where, "padding that leaves an output of at least one pixel", [...attrs.padding]);
    return length;
  });
  return f32([n, ...out, perGroup * groups]);
}

/** The type of x w for x [N, in], w [in, out]. */
export function multiplied(where: string, x: TensorType, w: TensorType): TensorType {
  if (x.dtype !== "f32" || x.shape.length !== 2 || x.shape.includes(0)) fail(where, "x as f32[N, inputs]", typeName(x));
  if (w.dtype !== "f32" || w.shape.length !== 2 || w.shape.includes(0))
    fail(where, "weights as f32[inputs, outputs]", typeName(w));
  if (x.shape[1] !== w.shape[0]) fail(where, `${w.shape[0]} inputs`, x.shape[1]);
  return f32([x.shape[0], w.shape[1]]);
}

export function checkBias(where: string, what: string, b: TensorType | undefined, channels: number): void {
  if (b && (b.dtype !== "f32" || !sameShape(b.shape, [channels])))
    fail(where, `${what} as f32[${channels}]`, typeName(b));
}

/** Checks seed and rows and returns the batch of the output: samples * B. */
export function checkNoise(
  where: string,
  batch: number,
  rng: TensorType,
  rows: TensorType,
  { stream, samples }: NoiseAttrs,
): number {
  if (rng?.dtype !== "i32" || !sameShape(rng.shape, [4])) fail(where, "rng as i32[4]", typeName(rng));
  if (rows?.dtype !== "i32" || rows.shape.length !== 1 || rows.shape[0] < 1)
    fail(where, "rows as i32[B]", typeName(rows));
  checkInt(where, "stream", stream, 0, 65535);
  checkInt(where, "samples", samples, 1, 65536);
  const [b] = rows.shape;
  if (batch !== b && batch !== samples * b)
    fail(where, `a batch of ${b} rows, or of ${samples} samples of them`, batch);
  return samples * b;
}

/** How a Bayesian op orders its inputs. */
export const bayesInputs = (where: string, x: Tensor, w: BayesWeights, noise: Noise): [Tensor[], number] => {
  const { mu, sigma2, biasMu, biasSigma2 } = checkObject(where, "weights { mu, sigma2, … }", w);
  const { rng, rows } = checkObject(where, "noise, as noiseFor gives it", noise);
  if (biasSigma2 && !biasMu) fail(where, "a bias mean beside the bias variance", undefined);
  const biases = [biasMu, biasSigma2].filter((b) => b !== undefined);
  return [[x, mu, sigma2, ...biases, rng, rows], biases.length];
};

/**
 * The output types (y, and r = dy/dv for backward) of a Bayesian op whose mean has type `mean(weights)`: checks that
 * variances match means, biases, and noise.
 */
export function bayesTypes(
  where: string,
  inputs: readonly TensorType[],
  attrs: NoiseAttrs & { readonly bias: number },
  mean: (weights: TensorType) => TensorType,
): TensorType[] {
  const [, mu, sigma2] = inputs;
  const [rng, rows] = inputs.slice(3 + attrs.bias);
  const y = mean(mu);
  if (sigma2.dtype !== "f32" || !sameShape(mu.shape, sigma2.shape))
    fail(where, `sigma2 as ${typeName(mu)}`, typeName(sigma2));
  const channels = y.shape[y.shape.length - 1];
  checkBias(where, "bias mean", attrs.bias > 0 ? inputs[3] : undefined, channels);
  checkBias(where, "bias variance", attrs.bias > 1 ? inputs[4] : undefined, channels);
  const out = f32([checkNoise(where, y.shape[0], rng, rows, attrs), ...y.shape.slice(1)]);
  return [out, out];
}

/** The shapes of a Bayesian gradient's outputs, from its inputs dy, r, x, mu, sigma2. */
export const bayesGradTypes = (inputs: readonly TensorType[], { bias }: { readonly bias: number }): TensorType[] => {
  const [dy, , x, mu, sigma2] = inputs;
  return [x, mu, sigma2, ...Array.from({ length: bias }, () => f32([dy.shape[dy.shape.length - 1]]))];
};

type Biased = { readonly bias: number; readonly groups?: number };

/** The channels that a layer with plain weights makes: inputs x, w, [b]. */
export function pointChannels<A extends Attrs & Biased>(flow: ChannelFlow, node: Node<A>, axes: ProductAxes): Channels {
  const [x, w, ...bias] = node.inputs;
  const multiplyAdds = node.op.flops!(node) / 2;
  return flow.product(node as unknown as Node, x, [w], axes, bias, { groups: node.attrs.groups ?? 1, multiplyAdds });
}

/** The channels that a layer with Gaussian weights makes: inputs x, mu, sigma2, [bMu], [bSigma2], rng, rows. */
export function bayesChannels<A extends Attrs & Biased>(flow: ChannelFlow, node: Node<A>, axes: ProductAxes): Channels {
  const [x, mu, sigma2, ...rest] = node.inputs;
  const biases = rest.slice(0, node.attrs.bias);
  const cost = { groups: node.attrs.groups ?? 1, multiplyAdds: node.op.flops!(node) / 4 };
  return flow.product(node as unknown as Node, x, [mu, sigma2], axes, biases, cost);
}

/** Multiply-adds of one convolution, given the tensor that has a result per tap sum (for a transposed one, the input). */
export const taps = (map: Shape, w: Shape): number => sizeOf(map) * sizeOf(w.slice(0, -1));

/** ONNX attributes of the geometry. */
export const convOnnx = ({ stride, padding, dilation, groups }: ConvAttrs, w: Shape) => ({
  kernel_shape: [w[0], w[1]],
  strides: stride,
  pads: padding,
  dilations: dilation,
  group: groups,
});

/** Axes of a weight in ONNX order: [kh, kw, in, out] to [out, in, kh, kw]. */
export const ONNX_WEIGHT = [3, 2, 0, 1] as const;

/** mean + sqrt(variance) * noise, the mean and variance repeated where several samples share them. */
export function lrtOnnx(
  ctx: OnnxContext,
  node: { readonly layer: string | undefined; readonly attrs: NoiseAttrs; readonly outputs: readonly Tensor[] },
  batch: number,
  mean: string,
  variance: string,
): string {
  const { shape } = node.outputs[0];
  const copies = shape[0] / batch;
  const repeat = (v: string): string =>
    copies === 1
      ? v
      : ctx.emit(
          "Concat",
          Array.from({ length: copies }, () => v),
          { axis: 0 },
        );
  const mu = repeat(mean);
  const eps = ctx.noise(node.layer ?? `noise${node.attrs.stream}`, mu, ctx.layout.dims(shape));
  return ctx.emit("Add", [mu, ctx.emit("Mul", [ctx.emit("Sqrt", [repeat(variance)]), eps])]);
}
