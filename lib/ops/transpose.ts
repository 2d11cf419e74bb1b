import { copyList } from "../util/arrays.ts";
import { apply, fail, type OnnxOp, type Tensor } from "./shared/op.ts";

type TransposeAttrs = {
  readonly perm: readonly number[];
};

const op: OnnxOp<TransposeAttrs> = {
  name: "transpose",
  infer([x], { perm }) {
    const rank = x.shape.length;
    if (x.dtype === "u8") fail("transpose", "f32 or i32", x.dtype);
    if (perm.length !== rank || [...perm].sort((a, b) => a - b).some((p, i) => p !== i))
      fail("transpose", `each of the axes 0 to ${rank - 1} once`, [...perm]);
    return [{ shape: perm.map((p) => x.shape[p]), dtype: x.dtype }];
  },
  grad: ([dy], { attrs: { perm } }) => [transpose(dy!, inverse(perm))],
  onnx(ctx, { attrs: { perm } }, [x]) {
    const at = (axis: number): number => ctx.layout.axis(axis, perm.length);
    const there: number[] = [];
    perm.forEach((p, i) => {
      there[at(i)] = at(p);
    });
    return ctx.emit("Transpose", [x], { perm: there });
  },
};

const inverse = (perm: readonly number[]): number[] => perm.map((_, i) => perm.indexOf(i));

/** The axes in another order: axis i of the result is axis perm[i] of x. */
export const transpose = (x: Tensor, perm: readonly number[]): Tensor =>
  apply(op, [x], { perm: copyList("transpose", "the order of the axes", perm) })[0];
