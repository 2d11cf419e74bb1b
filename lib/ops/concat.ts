import { copyList } from "../util/arrays.ts";
import { apply, checkInt, checkTensors, fail, type OnnxOp, type Tensor, typeName, words } from "./shared/op.ts";
import { slice } from "./slice.ts";

type ConcatAttrs = {
  readonly axis: number;
};

const op: OnnxOp<ConcatAttrs> = {
  name: "concat",
  infer(inputs, { axis }) {
    if (inputs.length === 0) fail("concat", "at least one tensor", words("none"));
    const [first] = inputs;
    if (first.dtype === "u8") fail("concat", "f32 or i32", first.dtype);
    checkInt("concat", "axis", axis, 0, first.shape.length - 1);
    for (const x of inputs)
      if (
        x.dtype !== first.dtype ||
        x.shape.length !== first.shape.length ||
        x.shape.some((d, i) => i !== axis && d !== first.shape[i])
      )
        fail("concat", `${typeName(first)} but for axis ${axis}`, typeName(x));
    const total = inputs.reduce((sum, x) => sum + x.shape[axis], 0);
    return [{ shape: first.shape.map((d, i) => (i === axis ? total : d)), dtype: first.dtype }];
  },
  grad([dy], { inputs, attrs: { axis } }) {
    let at = 0;
    return inputs.map((x) => {
      const starts = x.shape.map((_, i) => (i === axis ? at : 0));
      at += x.shape[axis];
      return slice(dy!, starts, x.shape);
    });
  },
  channels(flow, node) {
    const { inputs, attrs: { axis } } = node; // biome-ignore format: one line
    return axis === inputs[0].shape.length - 1 ? inputs.flatMap((x) => flow.of(x)) : flow.joined(node);
  },
  onnx: (ctx, { attrs: { axis }, outputs }, inputs) =>
    ctx.emit("Concat", inputs, { axis: ctx.layout.axis(axis, outputs[0].shape.length) }),
};

/** Tensors one after the other along `axis` (negative counts from the end); all other dimensions agree. */
export function concat(xs: readonly Tensor[], axis: number): Tensor {
  const own = copyList("concat", "tensors", xs);
  checkTensors("concat", ...own.slice(0, 1));
  const rank = own[0]?.shape.length ?? 0;
  checkInt("concat", "axis", axis, -rank, Math.max(0, rank - 1));
  return apply(op, own, { axis: axis < 0 ? axis + rank : axis })[0];
}
