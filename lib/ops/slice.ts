import { copyList } from "../util/arrays.ts";
import { apply, checkInt, fail, type OnnxOp, type Tensor } from "./shared/op.ts";
import { checkList } from "./shared/window.ts";

type SliceAttrs = {
  readonly starts: readonly number[];
  readonly sizes: readonly number[];
};
type PadAttrs = {
  readonly before: readonly number[];
  readonly after: readonly number[];
};

const sliceOp: OnnxOp<SliceAttrs> = {
  name: "slice",
  infer([x], { starts, sizes }) {
    const rank = x.shape.length;
    if (x.dtype === "u8") fail("slice", "f32 or i32", x.dtype);
    checkList("slice", "starts", starts, rank, 0);
    checkList("slice", "sizes", sizes, rank, 1);
    for (let i = 0; i < rank; i++) checkInt("slice", `the end along axis ${i}`, starts[i] + sizes[i], 1, x.shape[i]);
    return [{ shape: sizes, dtype: x.dtype }];
  },
  grad([dy], { inputs: [x], attrs: { starts, sizes } }) {
    return [
      pad(
        dy!,
        starts,
        x.shape.map((d, i) => d - starts[i] - sizes[i]),
      ),
    ];
  },
  onnx(ctx, { inputs: [{ shape }], attrs: { starts, sizes } }, [x]) {
    const cut = shape.map((_, i) => i).filter((i) => sizes[i] !== shape[i]); // whole axes stay as they are: the batch
    const list = (of: (axis: number) => number): string => ctx.constant(cut.map(of), [cut.length]);
    if (cut.length === 0) return ctx.emit("Identity", [x]);
    const ends = list((i) => starts[i] + sizes[i]);
    return ctx.emit("Slice", [x, list((i) => starts[i]), ends, list((i) => ctx.layout.axis(i, shape.length))]);
  },
};

const padOp: OnnxOp<PadAttrs> = {
  name: "pad",
  infer([x], { before, after }) {
    if (x.dtype !== "f32") fail("pad", "f32", x.dtype);
    checkList("pad", "before", before, x.shape.length, 0);
    checkList("pad", "after", after, x.shape.length, 0);
    return [{ shape: x.shape.map((d, i) => before[i] + d + after[i]), dtype: "f32" }];
  },
  grad: ([dy], { inputs: [x], attrs: { before } }) => [slice(dy!, before, x.shape)],
  onnx(ctx, { attrs: { before, after } }, [x]) {
    const rank = before.length;
    const pads = new Array<number>(2 * rank).fill(0);
    for (let i = 0; i < rank; i++) {
      pads[ctx.layout.axis(i, rank)] = before[i];
      pads[rank + ctx.layout.axis(i, rank)] = after[i];
    }
    return ctx.emit("Pad", [x, ctx.constant(pads, [2 * rank], "pads"), ctx.scalar(0)]);
  },
};

/** The box of `sizes` that begins at `starts`, one number per axis. */
export const slice = (x: Tensor, starts: readonly number[], sizes: readonly number[]): Tensor =>
  apply(sliceOp, [x], { starts: copyList("slice", "starts", starts), sizes: copyList("slice", "sizes", sizes) })[0];

/** Zeros around x: `before` and `after` it along every axis. */
export const pad = (x: Tensor, before: readonly number[], after: readonly number[]): Tensor =>
  apply(padOp, [x], { before: copyList("pad", "before", before), after: copyList("pad", "after", after) })[0];
