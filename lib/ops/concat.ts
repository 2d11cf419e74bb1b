import { checkInt, fail, words } from "../errors.ts";
import { apply, type Op, type Tensor, typeName } from "../graph/node.ts";
import { slice } from "./slice.ts";

type ConcatAttrs = {
  readonly axis: number;
};

const op: Op<ConcatAttrs> = {
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
  onnx: (ctx, { attrs: { axis }, outputs }, inputs) =>
    ctx.emit("Concat", inputs, { axis: ctx.layout.axis(axis, outputs[0].shape.length) }),
};

/** Tensors one after the other along `axis` (negative counts from the end); all other dimensions agree. */
export const concat = (xs: readonly Tensor[], axis: number): Tensor =>
  apply(op, xs, { axis: axis < 0 ? axis + (xs[0]?.shape.length ?? 0) : axis })[0];
