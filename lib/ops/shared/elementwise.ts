import type { Attrs, Node, Shape } from "../../graph/node.ts";
import { copyList } from "../../util/arrays.ts";
import { fail } from "../../util/errors.ts";
import { checkSame } from "./checks.ts";
import type { OnnxOp } from "./onnx.ts";

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
    lists: () => 0,
    channels: (flow, node) => flow.joined(node),
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
