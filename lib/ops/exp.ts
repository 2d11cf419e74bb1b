import { apply, type Tensor } from "../graph/node.ts";
import { mul } from "./mul.ts";
import { elementwiseOp } from "./shared/elementwise.ts";

const op = elementwiseOp("exp", {
  grad: ([dy], { outputs: [y] }) => [mul(dy!, y)],
  onnx: (ctx, _node, [x]) => ctx.emit("Exp", [x]),
});

/** e^x, elementwise. */
export const exp = (x: Tensor): Tensor => apply(op, [x], {})[0];
