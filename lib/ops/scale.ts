import { apply, type Tensor } from "../graph/node.ts";
import { checkNumber } from "../util/errors.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

type ScaleAttrs = { readonly a: number; readonly b: number };

const op = elementwiseOp<ScaleAttrs>("scale", {
  check({ a, b }) {
    checkNumber("scale", "the factor", a);
    checkNumber("scale", "the offset", b);
  },
  grad: ([dy], { attrs: { a } }) => [scale(dy!, a)],
  onnx(ctx, { attrs: { a, b } }, [x]) {
    const scaled = a === 1 ? x : ctx.emit("Mul", [x, ctx.scalar(a)]);
    return b === 0 && scaled !== x ? scaled : ctx.emit("Add", [scaled, ctx.scalar(b)]);
  },
});

/** a x + b with constants a and b. (A number that changes between steps is an input: use `mul`.) */
export const scale = (x: Tensor, a: number, b = 0): Tensor => (a === 1 && b === 0 ? x : apply(op, [x], { a, b })[0]);
