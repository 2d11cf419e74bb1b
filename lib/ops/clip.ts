import { apply, type Tensor } from "../graph/node.ts";
import { checkNumber } from "../util/errors.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

type ClipAttrs = { readonly min: number; readonly max: number };

const gradOp = elementwiseOp<ClipAttrs>("clipGrad");
const op = elementwiseOp<ClipAttrs>("clip", {
  check({ min, max }) {
    checkNumber("clip", "min", min);
    checkNumber("clip", "max", max, min);
  },
  grad: ([dy], { inputs: [x], attrs }) => [apply(gradOp, [dy!, x], attrs)[0]],
  onnx: (ctx, { attrs: { min, max } }, [x]) => ctx.emit("Clip", [x, ctx.scalar(min), ctx.scalar(max)]),
});

/** x limited to [min, max], elementwise; the gradient passes where x is inside, ends included. A NaN stays a NaN. */
export const clip = (x: Tensor, min: number, max: number): Tensor => apply(op, [x], { min, max })[0];
