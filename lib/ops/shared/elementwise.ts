import { type Attrs, type Node, type Shape, sameShape, type TensorType, typeName } from "../../graph/node.ts";
import { copyList } from "../../util/arrays.ts";
import { fail } from "../../util/errors.ts";
import type { OnnxOp } from "./onnx.ts";

/** Throws unless every input is float32. */
export function checkFloats(op: string, inputs: readonly TensorType[]): void {
  for (const t of inputs) if (t.dtype !== "f32") fail(op, "float32 inputs", typeName(t));
}

/** Throws unless every input is float32 and of one shape. Returns that type. */
export function checkSame(op: string, inputs: readonly TensorType[]): TensorType {
  checkFloats(op, inputs);
  const [first, ...others] = inputs;
  for (const t of others)
    if (!sameShape(t.shape, first.shape)) fail(op, `inputs of one shape, ${typeName(first)}`, typeName(t));
  return first;
}

/** Throws unless `t` is a float32 scalar (a shape of one element). */
export function checkScalar(op: string, what: string, t: TensorType): void {
  if (t.dtype !== "f32" || t.shape.some((d) => d !== 1)) fail(op, `${what} to be a float32 scalar`, typeName(t));
}

type Rest<A extends Attrs> = Omit<OnnxOp<A>, "name" | "infer" | "inplace"> & { check?: (attrs: A) => void };

/** The record of an op that maps float32 inputs of one shape to an output of that shape, element by element. */
export function elementwiseOp<A extends Attrs = Attrs>(name: string, { check, ...rest }: Rest<A> = {}): OnnxOp<A> {
  return {
    name,
    infer(inputs, attrs) {
      check?.(attrs);
      return [checkSame(name, inputs)];
    },
    inplace: [0],
    channels: (flow, { inputs }) => flow.joined(inputs),
    flops: (node: Node<A>) => node.outputs[0].size,
    ...rest,
  };
}

/** Axes as numbers from 0, sorted, each once; negative ones count from the end. Undefined: all of them. */
export function axesOf(op: string, shape: Shape, axes: number | readonly number[] | undefined): number[] {
  const rank = shape.length;
  const list =
    axes === undefined ? shape.map((_, i) => i) : typeof axes === "number" ? [axes] : copyList(op, "axes", axes);
  for (const a of list)
    if (!Number.isInteger(a) || a < -rank || a >= rank) fail(op, `axes from ${-rank} to ${rank - 1}`, a);
  const sorted = list.map((a) => (a < 0 ? a + rank : a)).sort((a, b) => a - b);
  if (new Set(sorted).size !== sorted.length) fail(op, "every axis once", [...list]);
  return sorted;
}
