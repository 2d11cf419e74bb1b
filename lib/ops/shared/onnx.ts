/**
 * What an op's ONNX lowering may ask for. An op record turns itself into ONNX nodes through this interface and knows
 * nothing of files, names or protobuf; {@link OnnxGraph} in lib/onnx/model.ts implements it.
 */
import type { Attrs, Node, Op, Tensor } from "../../graph/node.ts";

/** A dimension of a graph input or output: a size, or a name for one that is known only at run time. */
export type OnnxDim = number | string;

/** The name every exported model gives its leading dimension. */
export const BATCH = "batch";

/** Tensor contents: float32, or int64 as BigInt64Array or as a plain array of integers (shapes, axes, pads). */
export type OnnxData = Float32Array | BigInt64Array | readonly number[];

/**
 * One attribute. ONNX tells integers from floats and JavaScript does not, so a bare number (or array) is int64 and a
 * float says so: `{ axis: 1, alpha: { float: 0.01 }, pads: [2, 2, 2, 2] }`.
 */
export type OnnxAttr =
  | number
  | readonly number[]
  | string
  | { readonly float: number }
  | { readonly floats: readonly number[] }
  | { readonly tensor: OnnxData; readonly dims: readonly number[] };

export type OnnxAttrs = Readonly<Record<string, OnnxAttr>>;

/**
 * Where the randomness of an exported model comes from:
 * - `mean`: nowhere; every weight is its posterior mean and {@link OnnxContext.noise} must not be called;
 * - `inputs`: from the caller; each noise tensor is an input of the model, so a run is reproducible bit for bit;
 * - `random`: from RandomNormalLike nodes; the model is self-contained and every run is one Monte-Carlo sample.
 */
export type OnnxNoiseMode = "mean" | "inputs" | "random";

/**
 * How our activations lie in the ONNX graph: rank 4 is NHWC here and NCHW there, every other rank is the same in both.
 * Weights are not activations: a lowering permutes its own ([kh, kw, C, K] to [K, C, kh, kw]) before `constant`.
 */
export interface OnnxLayout {
  /** The ONNX axis of our axis `axis` (negative counts from the end) of a tensor of rank `rank`. */
  axis(axis: number, rank: number): number;
  /** Our shape in ONNX order, its first dimension replaced by the symbolic batch. */
  dims(shape: readonly number[]): OnnxDim[];
  /** `perm` of the Transpose that brings an ONNX tensor of this rank into our order (for flatten), or undefined. */
  toOurs(rank: number): readonly number[] | undefined;
  /** `perm` of the Transpose that brings a tensor in our order into ONNX order, or undefined. */
  toOnnx(rank: number): readonly number[] | undefined;
}

/** An op that says what it is in ONNX: the exporter asks for it, the graph does not know of it. */
export interface OnnxOp<A extends Attrs = Attrs> extends Op<A> {
  /** The forward lowering: emits ONNX nodes, returns the name(s) of the output(s). */
  onnx?(ctx: OnnxContext, node: Node<A>, inputs: readonly string[]): string | readonly string[];
}

export interface OnnxContext {
  readonly noiseMode: OnnxNoiseMode;
  readonly layout: OnnxLayout;

  /**
   * Appends a node and returns the name of its first output.
   * @param inputs names of values; "" leaves an optional input out
   * @param outputs how many outputs the node has (the others are reached with {@link emitAll})
   */
  emit(opType: string, inputs: readonly string[], attrs?: OnnxAttrs, outputs?: number): string;
  /** Appends a node and returns the names of all its outputs. */
  emitAll(opType: string, inputs: readonly string[], attrs: OnnxAttrs, outputs: number): string[];

  /** Stores a tensor in the model and returns its name: float32, or int64 for BigInt64Array and plain arrays. */
  constant(data: OnnxData, dims: readonly number[], hint?: string): string;
  /**
   * Contents, in our layout, of a tensor that depends only on parameters and constants (the exporter has computed it on
   * the device, so a lowering sees sigma2, never rho). Throws when it depends on an input of the model.
   */
  value(tensor: Tensor): Float32Array;
  /** Stores such a tensor as an initializer, its axes permuted: a conv weight HWIO to OIHW is `weight(w, [3, 2, 0, 1])`. */
  weight(tensor: Tensor, perm?: readonly number[], hint?: string): string;
  /** A float32 constant of rank 0 (the same value is stored once). */
  scalar(value: number): string;

  /**
   * The name of a tensor of independent standard normals with the shape of `like`.
   * @param label stable name of the stochastic node; in mode `inputs` it names the model's input `noise/<label>`
   * @param like a float32 value (or constant) of the wanted shape
   * @param shape that shape in ONNX order, as in `layout.dims(ourShape)`; used in mode `inputs` only
   */
  noise(label: string, like: string, shape: readonly OnnxDim[]): string;
  /** The name of a tensor of independent numbers, uniform in [0, 1), with the shape of `like`; in mode `random` only. */
  uniform(like: string): string;
}

const NCHW_OF_NHWC = [0, 3, 1, 2] as const;
const NHWC_OF_NCHW = [0, 2, 3, 1] as const;

/** The layout of every exported model: NCHW. */
export const NCHW: OnnxLayout = {
  axis(axis, rank) {
    const positive = axis < 0 ? axis + rank : axis;
    return rank === 4 ? NCHW_OF_NHWC.indexOf(positive as 0 | 1 | 2 | 3) : positive;
  },
  dims(shape) {
    const ordered: OnnxDim[] = shape.length === 4 ? NCHW_OF_NHWC.map((axis) => shape[axis]) : [...shape];
    if (ordered.length > 0) ordered[0] = BATCH;
    return ordered;
  },
  toOurs: (rank) => (rank === 4 ? NHWC_OF_NCHW : undefined),
  toOnnx: (rank) => (rank === 4 ? NCHW_OF_NHWC : undefined),
};
