// One row, several questions: does the op match a naive float64 reference, is its gradient that of the reference (central
// differences), are the bits the same on 1, 2 and 3 threads, does the ONNX lowering agree. Rows live in test/ops/<op>.ts.
import { type DType, type Shape, sizeOf, type Tensor } from "../../lib/graph/node.ts";
import { leakyRelu } from "../../lib/ops/leakyRelu.ts";
import { relu } from "../../lib/ops/relu.ts";
import { softplus } from "../../lib/ops/softplus.ts";

/** A reference value: float64 whatever the dtype. */
export interface Value {
  readonly shape: Shape;
  readonly data: Float64Array;
  readonly dtype?: DType;
}

export interface OpCase {
  /** What is special about this row ("stride > kernel"). */
  readonly name: string;
  /** Inputs by name, in order. */
  readonly inputs: Readonly<Record<string, Value>>;
  /** The traced computation; several outputs are all compared. */
  readonly build: (t: Readonly<Record<string, Tensor>>) => Tensor | readonly Tensor[];
  /** The same in naive float64, output by output (shape is checked too when given as a Value). */
  readonly reference: (v: Readonly<Record<string, Value>>) => Value | readonly Value[];
  /** Inputs whose gradient is checked (default: every f32 input); [] for none. */
  readonly wrt?: readonly string[];
  /** Outputs that take part in the gradient (default: only output 0; the others are residues for backward). */
  readonly gradOutputs?: readonly number[];
  /** Largest |difference| in units of (1 + |reference|). Defaults: 1e-5 forward, 2e-3 gradient. */
  readonly tolerance?: number;
  readonly gradTolerance?: number;
  /** Step of the central difference (in float64). */
  readonly epsilon?: number;
  /** False: no ONNX lowering is expected (training-only ops). */
  readonly onnx?: boolean;
}

/** A small deterministic generator for test data (mulberry32). */
export function random(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Uniform values in [low, high), already rounded to float32 so that both sides see the same numbers. */
export function uniform(shape: Shape, seed: number, low = -1, high = 1): Value {
  const next = random(seed);
  return { shape, data: Float64Array.from({ length: sizeOf(shape) }, () => Math.fround(low + next() * (high - low))) };
}

/** Given values (rounded to float32). */
export const given = (shape: Shape, values: readonly number[]): Value => ({
  shape,
  data: Float64Array.from(values, Math.fround),
});

/** A mask: about half ones, half zeros. */
export const bits = (n: number): Value => {
  const next = random(7);
  return { shape: [n], data: Float64Array.from({ length: n }, () => (next() < 0.5 ? 0 : 1)) };
};

/** Integers (labels, rows, indices). */
export const ints = (shape: Shape, values: readonly number[]): Value => ({
  shape,
  data: Float64Array.from(values),
  dtype: "i32",
});

/** Values at least `gap` away from zero, for functions with a kink there. */
export function awayFromZero(shape: Shape, seed: number, gap = 0.05): Value {
  const v = uniform(shape, seed);
  return { shape, data: v.data.map((x) => Math.fround(x < 0 ? x - gap : x + gap)) };
}

/** Elementwise reference. */
export const map = (x: Value, f: (x: number) => number): Value => ({ shape: x.shape, data: x.data.map(f) });

/** The activations that a layer can apply itself: [name, op, the same in float64]. */
export const activations: readonly (readonly [string, (z: Tensor) => Tensor, (z: number) => number])[] = [
  ["ReLU", relu, (z) => Math.max(z, 0)],
  ["leaky ReLU", (z) => leakyRelu(z, 0.3), (z) => (z > 0 ? z : 0.3 * z)],
  ["softplus", softplus, (z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)))],
];

/** The rows of a layer, each followed by every activation: in a compiled program the two are one step. */
export const activated = (rows: readonly OpCase[]): OpCase[] =>
  rows.flatMap((c) =>
    activations.map(([name, apply, of]) => ({
      ...c,
      name: `${c.name}, then ${name}`,
      build: (t) => apply(c.build(t) as Tensor),
      reference: (v) => map(c.reference(v) as Value, of),
      epsilon: 1e-6, // few sums lie that near to the kink
    })),
  );

/** The bfloat16 nearest to a float32, ties to even: 8 bits of significand. */
export function bf16(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const ulp = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -126) - 7);
  const [down, rest] = [Math.floor(x / ulp), x / ulp - Math.floor(x / ulp)]; // exact: powers of two
  const whole = rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
  return Math.abs(whole * ulp) >= 2 ** 128 ? Math.sign(x) * Number.POSITIVE_INFINITY : whole * ulp;
}
