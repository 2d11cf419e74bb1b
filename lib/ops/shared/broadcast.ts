import { type Node, type Shape, sameShape, type TensorType } from "../../graph/node.ts";
import { fail, words } from "../../util/errors.ts";
import { checkFloats } from "./checks.ts";
import type { OnnxContext, OnnxOp } from "./onnx.ts";

/** The shape of a result under NumPy's rule: aligned at the last axis, 1 stretches. */
export function broadcastShape(op: string, a: Shape, b: Shape): Shape {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[i - rank + a.length] ?? 1;
    const y = b[i - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1)
      fail(op, `shapes that broadcast, [${a.join(",")}] and one like it`, words(`[${b.join(",")}]`));
    return x === 1 ? y : x;
  });
}

/** Brings an operand of lower rank under an image: ONNX aligns at the last axis too, but there that is the width. */
export function alignOnnx(ctx: OnnxContext, name: string, shape: Shape, rank: number): string {
  const perm = ctx.layout.toOnnx(rank);
  if (!perm || shape.length === rank || shape.every((d) => d === 1)) return name;
  const ours = [...new Array<number>(rank - shape.length).fill(1), ...shape];
  const wide = ctx.emit("Reshape", [name, ctx.constant(ours, [rank], "shape")]);
  return ctx.emit("Transpose", [wide], { perm });
}

/** The record of a float32 op on two inputs that broadcast; `onnxType` names its ONNX twin. */
export function broadcastOp(name: string, onnxType: string, rest: Pick<OnnxOp, "grad" | "onnx" | "sums">): OnnxOp {
  return {
    name,
    infer(inputs: readonly TensorType[]) {
      checkFloats(name, inputs);
      return [{ shape: broadcastShape(name, inputs[0].shape, inputs[1].shape), dtype: "f32" }];
    },
    inplace: [0, 1],
    lists: ({ inputs: [a, b] }) => (sameShape(a.shape, b.shape) ? 0 : undefined),
    channels: (flow, node) => flow.joined(node),
    flops: (node: Node) => (node.inputs.length - 1) * node.outputs[0].size,
    onnx(ctx, node, inputs) {
      const rank = node.outputs[0].shape.length;
      return ctx.emit(
        onnxType,
        inputs.map((x, i) => alignOnnx(ctx, x, node.inputs[i].shape, rank)),
      );
    },
    ...rest,
  };
}
